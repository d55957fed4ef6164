import { randomBytes } from "node:crypto";
import { chmod, mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "#core/clock";
import type { Machine, Settings } from "#core/engine/engine";
import type { RestoreOrder, Source } from "#core/engine/physical";
import { badRequest } from "#core/error";
import { failpoint } from "#core/failpoint";
import { recover } from "#core/engine/postgresql/backup/recover";
import { unpack } from "#core/engine/postgresql/backup/unpack";
import { asRoot, chownTree, hydrate, stopServer, syncTree, versionOf } from "#core/engine/postgresql/cluster";
import { place, syncDirectory } from "#core/engine/postgresql/files";
import { VolumeMeter } from "#core/engine/postgresql/usage";
import { clearVolume, furnishVolume, isInitialised, layout, markInitialised, mustHaveUser } from "#core/engine/postgresql/volume";
import type { Connections } from "#core/engine/postgresql/connections";

/**
 * Fills the volume from a chain of backups and has the server replay. The data directory gets its name when every byte was read and
 * checked, the volume its mark when the server has come up and is down again; what a crash left is begun anew.
 */
export async function restore(machine: Machine, connections: Connections, order: RestoreOrder, clock: Clock): Promise<void> {
  const files = layout(machine.volumeDirectory);
  mustHaveUser(machine);
  if (await isInitialised(files)) return;
  await hydrate(machine.engineDirectory);
  await connections.close();
  await stopServer(files.pgdata, { mode: "immediate", clock });
  await mustFit(machine, order.chain);
  await clearVolume(machine.volumeDirectory);
  await mustHaveRoom(machine, order, clock);
  const fresh = `${files.pgdata}.new`;
  await mkdir(fresh, { mode: 0o700 });
  for (const source of order.chain) {
    await unpack(fresh, source, order.moved);
    await failpoint("postgresql.restore.unpacked");
  }
  await mkdir(join(fresh, "pg_wal", "archive_status"), { recursive: true, mode: 0o700 });
  await place(join(fresh, "recovery.signal"), "");
  // What the source's administrator may have set by ALTER SYSTEM is not this instance's.
  await rm(join(fresh, "postgresql.auto.conf"), { force: true });
  await chmod(fresh, 0o700);
  if (asRoot() && machine.engineUser) await chownTree(fresh, machine.engineUser);
  await syncTree(machine.engineDirectory, fresh);
  await rename(fresh, files.pgdata);
  await syncDirectory(dirname(files.pgdata));
  await place(files.superuser, randomBytes(32).toString("base64url"));
  await furnishVolume(machine);
  await failpoint("postgresql.restore.placed");
  await recover({ machine, files, connections, clock }, order);
  await failpoint("postgresql.restore.recovered");
  await markInitialised(files);
}

/** AppError `badRequest` for a backup of other, or of newer, programs. */
async function mustFit({ engineDirectory }: Machine, chain: Source[]): Promise<void> {
  const programs = await versionOf(engineDirectory);
  const said = (version: number) => `${Math.floor(version / 10_000)}.${version % 10_000}`;
  for (const { engine } of chain) {
    const isSameMajor = engine.name === "postgresql" && Math.floor(engine.version / 10_000) === Math.floor(programs / 10_000);
    if (isSameMajor && engine.version <= programs) continue;
    throw badRequest(`The backup is of ${engine.name} ${said(engine.version)}, the instance runs postgresql ${said(programs)}.`, { reason: "backup.version", next: "Restore it with the version it was made with, or with a later minor version.", final: true });
  }
}

/** AppError `badRequest` before anything is read that would not find room. */
async function mustHaveRoom(machine: Machine, { chain, settings }: { chain: Source[]; settings: Settings }, clock: Clock): Promise<void> {
  const needed = Math.max(...chain.map(({ dataBytes }) => dataBytes));
  const { freeBytes } = await new VolumeMeter(machine, clock).read(settings.volumeGb);
  const gb = (bytes: number) => (bytes / 1024 ** 3).toFixed(2);
  if (needed > freeBytes) throw badRequest(`The backup needs ${gb(needed)} GB; the volume has ${gb(freeBytes)} GB.`, { reason: "backup.size", next: "Restore it into a larger volume.", final: true });
}
