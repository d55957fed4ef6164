import { opened } from "#core/archive/object";
import { BackupReader } from "#core/archive/reader";
import { BackupWriter } from "#core/archive/writer";
import type { Clock } from "#core/clock";
import type { Engine, Settings } from "#core/engine/engine";
import type { LogArchive, Parent, Physical, Sink, Source } from "#core/engine/physical";
import { AppError, describe } from "#core/error";
import { pieceName, windowName, type Archiver } from "#core/guest/agent/archiver";
import type { GrantedPlace, Grants } from "#core/guest/agent/grants";
import type { Transfers } from "#core/guest/agent/transfers";
import { Archive, OBJECT_BYTES, type BackupResult, type JobSpec, type Restore, type StoredBackup } from "#core/guest/protocol";
import { log } from "#core/log";

/** What backups and restores need. */
export interface Station {
  engine: Engine;
  grants: Grants;
  transfers: Transfers;
  archiver: Pick<Archiver, "look">;
  clock: Clock;
}

function physicalOf({ engine }: Station): Physical {
  if (engine.physical) return engine.physical;
  throw new AppError("notImplemented", "There are no backups of this database server.", { reason: "backup.engine", final: true });
}

function placeOf(places: ReadonlyMap<string, GrantedPlace>, id: string): GrantedPlace {
  const found = places.get(id);
  if (!found) throw new AppError("conflict", `The control plane grants no place for ${id}.`, { reason: "grant.place", final: true });
  return found;
}

/** Makes a backup and stores it. Done again, it replaces what it stored. */
export function backup(station: Station, spec: JobSpec<"backup">, jobId: string): Promise<BackupResult> {
  const physical = physicalOf(station);
  return station.transfers.run(jobId, spec.backupId, async (signal, moved) => {
    const places = await station.grants.ask({ jobId }, signal);
    const { installation, place, key, objects } = placeOf(places, spec.backupId);
    // So that the archive is known to lead from its end, and not from the next look on.
    await station.archiver.look();
    const writer = new BackupWriter(key, { installation, place }, objects);
    try {
      const { parent, note } = await parentOf(places, spec.parent);
      const sink = paced(writer, moved, station.clock, signal, spec.limitBytesPerSecond);
      const { note: reason = note, incremental, ...facts } = await physical.backup({ label: spec.label, signal, ...(parent && { parent }) }, sink);
      const head = { ...facts, backupId: spec.backupId, label: spec.label, parent: incremental && spec.parent ? spec.parent : null };
      const { startLsn, stopLsn, timeline, systemIdentifier, startedAt, stoppedAt, dataBytes } = facts;
      return { ...(await writer.finish(head)), startLsn, stopLsn, timeline, systemIdentifier, startedAt, stoppedAt, dataBytes, incremental, ...(reason !== undefined && { note: reason }) };
    } finally {
      await writer.abandon();
      for (const { objects } of places.values()) objects.close();
    }
  });
}

/** What is known of the parent; a reason, in words, when it is of no use. */
async function parentOf(places: ReadonlyMap<string, GrantedPlace>, given: JobSpec<"backup">["parent"]): Promise<{ parent?: Parent; note?: string }> {
  if (!given) return {};
  try {
    const granted = placeOf(places, given.backupId);
    const { head, files } = await BackupReader.open({ ...granted, from: granted.objects, backup: { ...given, place: granted.place } });
    const sizes = new Map<string, number>();
    for (const { path, size } of files()) sizes.set(path, size);
    return { parent: { ...head, sizeOf: (path) => sizes.get(path) } };
  } catch (error) {
    if (!(error instanceof AppError) || error.reason !== "archive.damaged") throw error;
    log.error("the parent of a backup cannot be used", { parent: given.backupId, error: describe(error) });
    return { note: `The parent cannot be used: a full backup was made. ${describe(error)}` };
  }
}

/** Counts what goes by, and holds it back where it would be more than so much a second. */
function paced(writer: BackupWriter, moved: (bytes: number) => void, clock: Clock, signal: AbortSignal, limit: number | undefined): Sink {
  const began = clock.now().getTime();
  let bytes = 0;
  return {
    file: (file) => writer.file(file),
    async write(content) {
      signal.throwIfAborted();
      bytes += content.length;
      const aheadMs = limit === undefined ? 0 : (bytes / limit) * 1000 - (clock.now().getTime() - began);
      if (aheadMs > 0) await clock.sleep(aheadMs, signal);
      await writer.write(content);
      moved(content.length);
    },
  };
}

/** Fills the volume of a new instance; in place of initialising it. */
export function restore(station: Station, { chain, until }: Restore, settings: Settings, jobId: string): Promise<void> {
  const physical = physicalOf(station);
  return station.transfers.run(jobId, undefined, async (signal, moved) => {
    const places = await station.grants.ask({ jobId }, signal);
    try {
      const sources: ChainLink[] = [];
      for (const stored of chain) sources.push(await sourceOf(placeOf(places, stored.backupId), stored));
      demandChain(chain, sources);
      const [last] = sources.slice(-1);
      const archived = until && last && { time: until.time, log: await archivedLog(placeOf(places, "wal"), last, until.time, moved) };
      await physical.restore({ settings, chain: sources, moved, ...(archived && { until: archived }) });
    } finally {
      for (const { objects } of places.values()) objects.close();
    }
  });
}

/** The archived log behind a backup. AppError `archive.window` for a time that it does not reach, or does not reach without a gap. */
async function archivedLog({ installation, place, key, objects }: GrantedPlace, { systemIdentifier, stoppedAt }: ChainLink, time: string, moved: (bytes: number) => void): Promise<LogArchive> {
  const read = async (name: string) => {
    const stored = await objects.get(name);
    return stored && (await opened(key, { installation, place, name }, stored, OBJECT_BYTES));
  };
  const told = await read(windowName(systemIdentifier));
  const window = told && Archived.parse(JSON.parse(told.toString("utf8")));
  const refused = (why: string) => new AppError("badRequest", `${time} cannot be reached: ${why}.`, { reason: "archive.window", next: "Choose a time within the reachable window.", final: true });
  const at = Date.parse(time);
  if (at < Date.parse(stoppedAt)) throw refused(`the backup ended later (${stoppedAt})`);
  if (window?.latest === undefined || at > Date.parse(window.latest)) throw refused(`the archive reaches to ${window?.latest ?? "nowhere"}`);
  const gap = window.gaps.find(({ from, to }) => Date.parse(from) < at && Date.parse(to) > Date.parse(stoppedAt));
  if (gap) throw refused(`the archive has a gap from ${gap.from} to ${gap.to}`);
  return {
    async piece(name) {
      const content = await read(pieceName(systemIdentifier, name));
      moved(content?.length ?? 0);
      return content;
    },
    async follows(name) {
      const behind = pieceName(systemIdentifier, name);
      const [next] = await objects.list(behind);
      return next !== undefined && next.name.startsWith(behind.slice(0, behind.lastIndexOf("/") + 1));
    },
  };
}

const Archived = Archive.pick({ latest: true, gaps: true });

type ChainLink = Source & { stoppedAt: string; parent: { backupId: string; checksum: string } | null };

async function sourceOf(granted: GrantedPlace, backup: StoredBackup): Promise<ChainLink> {
  const reader = await BackupReader.open({ ...granted, from: granted.objects, backup });
  return { ...reader.head, files: reader.files, content: () => reader.content() };
}

/** AppError `badRequest` unless the first is a full one and each next was made against the one before. */
function demandChain(chain: StoredBackup[], sources: ChainLink[]): void {
  for (const [at, source] of sources.entries()) {
    const before = chain[at - 1];
    const fits = before ? source.parent?.backupId === before.backupId && source.parent.checksum === before.checksum : source.parent === null;
    if (!fits) throw new AppError("badRequest", `Backup ${chain[at]?.backupId} was not made against ${before?.backupId ?? "nothing"}: the chain does not hold together.`, { reason: "backup.chain", final: true });
  }
}
