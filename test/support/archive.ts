import { randomBytes, randomUUID } from "node:crypto";
import type { Engine, Settings } from "#core/engine/engine";
import { BackupReader, type Opened } from "#core/archive/reader";
import { BackupWriter } from "#core/archive/writer";
import type { BackupFacts, Parent, RestoreOrder, Source } from "#core/engine/physical";
import type { Place } from "#core/guest/protocol";

/** Objects of one place, in memory. */
export class MemoryPlace {
  readonly objects = new Map<string, Buffer>();
  async put(name: string, stored: Uint8Array) {
    this.objects.set(name, Buffer.from(stored));
  }
  async get(name: string) {
    return this.objects.get(name);
  }
}

export interface Taken {
  facts: BackupFacts;
  opened: Opened & { from: MemoryPlace };
  parts: number;
  bytes: number;
}

export const placeOf = (backupId: string): Place => ({ projectId: "p", container: "backups", prefix: `backups/${backupId}` });

/** A backup of the engine into memory, as the agent makes it. */
export async function take(engine: Engine, parent?: Taken, signal = new AbortController().signal): Promise<Taken> {
  const backupId = randomUUID();
  const [key, from, place] = [randomBytes(32), new MemoryPlace(), placeOf(backupId)];
  const writer = new BackupWriter(key, { installation: "i", place }, from);
  const before = parent && (await parentOf(parent));
  const facts = await engine.physical!.backup({ label: "test", signal, ...(before && { parent: before }) }, writer);
  const { checksum, parts, bytes } = await writer.finish({ ...headOf(facts), backupId, label: "test", parent: parent ? { backupId: parent.opened.backup.backupId, checksum: parent.opened.backup.checksum } : null });
  return { facts, parts, bytes, opened: { installation: "i", key, backup: { backupId, checksum, place }, from } };
}

/** Of what the server told, that which the manifest keeps. */
function headOf(facts: BackupFacts) {
  const { engine, systemIdentifier, timeline, startLsn, stopLsn, startedAt, stoppedAt, pageBytes, directories, dataBytes } = facts;
  return { engine, systemIdentifier, timeline, startLsn, stopLsn, startedAt, stoppedAt, pageBytes, directories, dataBytes };
}

async function parentOf({ opened }: Taken): Promise<Parent> {
  const { head, files } = await BackupReader.open(opened);
  const sizes = new Map([...files()].map(({ path, size }) => [path, size]));
  return { ...head, sizeOf: (path) => sizes.get(path) };
}

export async function sourceOf({ opened }: Pick<Taken, "opened">): Promise<Source> {
  const reader = await BackupReader.open(opened);
  return { ...reader.head, files: reader.files, content: () => reader.content() };
}

/** Restores a chain, and starts the server. */
export async function restoreFrom(engine: Engine, chain: Pick<Taken, "opened">[], settings: Settings, until?: RestoreOrder["until"]): Promise<void> {
  await engine.physical!.restore({ settings, chain: await Promise.all(chain.map(sourceOf)), moved: () => {}, ...(until && { until }) });
  await engine.start(settings);
}
