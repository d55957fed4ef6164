import { mkdir, rename, rm } from "node:fs/promises";
import type { Machine } from "#core/engine/engine";
import type { Upstream } from "#core/engine/replication";
import { failpoint } from "#core/failpoint";
import { baseBackup, unpack } from "#core/engine/postgresql/basebackup";
import { syncTree } from "#core/engine/postgresql/cluster";
import { place, syncDirectory } from "#core/engine/postgresql/files";
import { upstream } from "#core/engine/postgresql/upstream";
import { clearVolume, initialiseVolume, layout } from "#core/engine/postgresql/volume";

/**
 * Copies a source's data onto a volume, straight from its server: the object store may be away, and what it has is older. The
 * former data goes first, as there may be no room for both. Whoever calls has seen to it that no server runs on it. A copy that
 * a crash cut in two is no database, and is made anew.
 */
export async function copyVolume(machine: Machine, from: Upstream & { superuser: string }): Promise<void> {
  const { volumeDirectory, engineDirectory } = machine;
  const files = layout(volumeDirectory);
  await mkdir(volumeDirectory, { recursive: true });
  await rm(files.marker, { force: true });
  await clearVolume(volumeDirectory);
  // First: who does it again after a crash may not have been given it.
  await place(files.superuser, from.superuser);
  const staging = `${files.pgdata}.new`;
  await mkdir(staging, { mode: 0o700 });
  await upstream(from, async (sql) => unpack(await sql.unsafe(baseBackup).simple().readable(), staging));
  await failpoint("postgresql.seed");
  await syncTree(engineDirectory, staging);
  await rename(staging, files.pgdata);
  await syncDirectory(volumeDirectory);
  // Owners, the directories beside, and the sign that all is there.
  await initialiseVolume(machine);
}
