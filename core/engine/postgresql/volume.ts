import { randomBytes } from "node:crypto";
import { chmod, chown, mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Machine } from "#core/engine/engine";
import { AppError, codeOf } from "#core/error";
import { failpoint } from "#core/failpoint";
import { asRoot, chownTree, initCluster, majorOf, type User } from "#core/engine/postgresql/cluster";
import { glance, place, syncDirectory } from "#core/engine/postgresql/files";
import { superuser } from "#core/engine/postgresql/names";

/**
 * What is where on an instance's volume. Only `pgdata` belongs to the engine's user: what an
 * agent that runs as root writes is beyond the reach of an engine that was broken into.
 */
export const layout = (volume: string) => ({
  pgdata: join(volume, "pgdata"),
  /** The agent's password, for the agent only. */
  superuser: join(volume, "superuser"),
  /** There once `initialise` has finished. */
  marker: join(volume, "engine.json"),
  configuration: join(volume, "conf"),
  settings: join(volume, "conf", "postgresql.conf"),
  /** What a configuration group sets; included by `settings`. */
  overrides: join(volume, "conf", "overrides.conf"),
  /** Both again, while the server is asked whether it would take them. */
  candidate: join(volume, "conf", "candidate.conf"),
  candidateOverrides: join(volume, "conf", "candidate-overrides.conf"),
  access: join(volume, "conf", "pg_hba.conf"),
  tls: join(volume, "conf", "tls.conf"),
  guard: join(volume, "conf", "guard.conf"),
  pair: join(volume, "conf", "server.pem"),
  /** Of the CAs whose clients are let in. */
  clientCa: join(volume, "conf", "client-ca.pem"),
  /** Whom a replica follows, and with which password. */
  replication: join(volume, "conf", "replication.conf"),
  passwords: join(volume, "conf", "passwords"),
  signal: join(volume, "pgdata", "standby.signal"),
  /** WAL that waits to be archived; the server's. */
  spool: join(volume, "wal"),
  /** While it is there WAL that finds no room in the spool is given up. */
  yields: join(volume, "conf", "yields"),
  archiveScript: join(volume, "conf", "archive.sh"),
  /** Archived WAL for a server that replays. */
  feed: join(volume, "feed"),
  restoreScript: join(volume, "conf", "restore.sh"),
  reserve: join(volume, "reserve"),
  logs: join(volume, "log"),
  log: join(volume, "log", "postgresql.log"),
});
export type Layout = ReturnType<typeof layout>;

export interface PrepareVolume {
  native: string;
  /** The volume, or a folder that becomes one by a rename. Every user must be able to reach it when we are root. */
  directory: string;
  /** Who will own the data; may still change until `initialise`. */
  as?: User;
  /** Nobody waits for it: others go first. */
  background?: boolean;
}

/**
 * Makes a fresh cluster and, last, the file with its superuser's password, so that this says that
 * both are complete. What a crash left half made is made anew.
 */
export async function prepareVolume({ native, directory, as, background }: PrepareVolume): Promise<void> {
  const files = layout(directory);
  await mkdir(directory, { recursive: true });
  await clearVolume(directory);
  const password = randomBytes(32).toString("base64url");
  await initCluster({ native, directory: files.pgdata, superuser, password, ...(as && { as }), ...(background && { background }) });
  await failpoint("postgresql.prepare");
  await place(files.superuser, password);
}

/** Takes a cluster away, whole or half made, that nobody was told of. */
export async function clearVolume(directory: string): Promise<void> {
  await closeVolume(directory);
  await rm(layout(directory).superuser, { force: true });
  for (const name of await readdir(directory)) {
    if (name.startsWith("pgdata")) await rm(join(directory, name), { recursive: true, force: true });
  }
}

/** Moves what `prepareVolume` made onto an empty volume of the same file system, owned by `as`, and removes the rest of `from`. */
export async function adoptVolume({ from, directory, as }: { from: string; directory: string; as?: User }): Promise<void> {
  const [source, target] = [layout(from), layout(directory)];
  await closeVolume(directory);
  if (as) await chownTree(source.pgdata, as);
  await rename(source.pgdata, target.pgdata);
  await rename(source.superuser, target.superuser);
  await syncDirectory(directory);
  await rm(from, { recursive: true, force: true });
}

/** Others may pass through to what is theirs, but the top of the volume is ours alone. */
async function closeVolume(directory: string): Promise<void> {
  if (asRoot()) await chown(directory, 0, 0);
  await chmod(directory, asRoot() ? 0o711 : 0o700);
}

/** True once `initialiseVolume` has finished. AppError when a part of what was there then is gone. */
export async function isInitialised(files: Layout): Promise<boolean> {
  if (!(await exists(files.marker))) return false;
  if (await pairThere(files)) return true;
  throw new AppError("instanceFault", "The volume says that it holds a database cluster, but it does not hold all of it.", {
    reason: "engine.damaged",
    next: "Restore the instance from a backup.",
    final: true,
  });
}

const pairThere = async (files: Layout) => (await exists(files.superuser)) && (await exists(join(files.pgdata, "PG_VERSION")));

/** Adopts the pair that is there, or makes one; gives everything the owner it shall have. Does nothing to a volume that is complete. */
export async function initialiseVolume(machine: Machine): Promise<void> {
  const { engineDirectory, volumeDirectory, engineUser } = machine;
  const files = layout(volumeDirectory);
  mustHaveUser(machine);
  if (await isInitialised(files)) return;
  await closeVolume(volumeDirectory);
  if (!(await pairThere(files))) await prepareVolume({ native: engineDirectory, directory: volumeDirectory, ...(engineUser && { as: engineUser }) });
  await checkMajor(files, engineDirectory);
  await failpoint("postgresql.initialise");
  await furnishVolume(machine);
  await failpoint("postgresql.marker");
  await markInitialised(files);
}

/** AppError where the server would have to run as root. */
export function mustHaveUser({ engineUser }: Machine): void {
  if (asRoot() && !engineUser) throw new AppError("serviceUnavailable", "PostgreSQL does not run as root, and no other user was given.", { reason: "engine.user", final: true });
}

/** What a server needs around its data to be started. */
export async function furnishVolume({ volumeDirectory, engineUser }: Machine): Promise<void> {
  const files = layout(volumeDirectory);
  if (asRoot()) await chown(files.superuser, 0, 0);
  if (asRoot() && engineUser && (await stat(files.pgdata)).uid !== engineUser.uid) {
    await chownTree(files.pgdata, engineUser);
  }
  await mkdir(files.configuration, { recursive: true });
  await chmod(files.configuration, asRoot() ? 0o750 : 0o700);
  if (asRoot() && engineUser) await chown(files.configuration, 0, engineUser.gid);
  await mkdir(files.logs, { recursive: true, mode: 0o700 });
}

/** From now on the volume holds a cluster, and nobody makes another. */
export async function markInitialised(files: Layout): Promise<void> {
  // A journalling file system keeps the order: when this is on disk, so are the owners set before.
  await place(files.marker, `${JSON.stringify({ manager: "postgresql" })}\n`);
}

/** AppError unless the programs are of the major version that wrote the data. */
export async function checkMajor(files: Layout, native: string): Promise<void> {
  const written = (await glance(join(files.pgdata, "PG_VERSION")))?.toString("utf8").trim();
  const programs = String(await majorOf(native));
  if (written === programs) return;
  throw new AppError("instanceFault", `The data on the volume is of PostgreSQL ${written ?? "?"}, the programs are of ${programs}.`, {
    reason: "engine.version",
    next: "Upgrade the instance.",
    final: true,
  });
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    return false;
  }
}
