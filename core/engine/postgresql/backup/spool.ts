import { constants } from "node:fs";
import { chmod, chown, lstat, mkdir, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Machine, Settings } from "#core/engine/engine";
import type { Piece } from "#core/engine/physical";
import { codeOf } from "#core/error";
import { asRoot } from "#core/engine/postgresql/cluster";
import { readable } from "#core/engine/postgresql/configuration";
import { glance, placeIfNew } from "#core/engine/postgresql/files";
import { word } from "#core/engine/postgresql/shell";
import type { Layout } from "#core/engine/postgresql/volume";

/*
 * `archive_command` copies finished WAL into a directory of the server's, from which the agent archives and removes it. The server
 * never waits for the network; what it keeps for an archive that is away is bounded here, and not by the volume.
 */

const blockBytes = 512;
const pieceBytes = 1024 * 1024;
const pieceName = /^[0-9A-F]{8}(\.history|[0-9A-F]{16}(\.[0-9A-F]{8}\.backup|\.partial)?)$/;

/** kB on disk at most, but for one segment: a tenth of the volume. Pages of zeros, with which an idle server fills its segments, take none. */
export const spoolKb = ({ volumeGb }: Pick<Settings, "volumeGb">) => Math.min(Math.max(Math.round((volumeGb * 1024 * 1024) / 10), 64 * 1024), 16 * 1024 * 1024);

/**
 * A copy leaves this much of the volume, kB: the file system's last room is for a server that ended for want of it, to come up with.
 * The segment waits where it is then, and is offered again. Less than what tenants must leave free, so that it is not they who keep it waiting.
 */
const leaveKb = 48 * 1024;

/**
 * $1: path, $2: name. Exits 0 when the segment waits in the spool, or is given up because that is full; 1 while the volume has no room for it.
 * Where a server has ended for want of room it is given up then too: one that keeps its WAL would end so again.
 */
const script = ({ spool, yields }: Layout, mostKb: number) => `set -e
spool=${word(spool)}
free=$(df -Pk "$spool" | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)
if [ "$free" -lt ${leaveKb} ]; then
  if [ -e ${word(yields)} ]; then
    echo "$2" > "$spool/lost"
    exit 0
  fi
  echo "the volume has no room for $2 to wait in: $free kB" >&2
  exit 1
fi
used=$(du -sk "$spool" | cut -f1)
if [ "$used" -ge ${mostKb} ]; then
  echo "$2" > "$spool/lost"
  exit 0
fi
dd if="$1" of="$spool/$2.part" bs=64k conv=sparse,fsync 2>/dev/null
mv -f "$spool/$2.part" "$spool/$2"
`;

/** Makes the spool and the script, or brings them to this size. */
export async function placeSpool(machine: Machine, files: Layout, settings: Settings): Promise<void> {
  await mkdir(files.spool, { recursive: true, mode: 0o700 });
  await chmod(files.spool, 0o700);
  if (asRoot() && machine.engineUser) await chown(files.spool, machine.engineUser.uid, machine.engineUser.gid);
  await placeIfNew(files.archiveScript, script(files, spoolKb(settings)), readable(machine));
}

/** What waits, in the order in which it was written. */
export async function pieces({ spool }: Layout): Promise<Piece[]> {
  const names = await readdir(spool).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  });
  const found: Piece[] = [];
  for (const name of names.filter((one) => pieceName.test(one)).sort()) {
    const { blocks, size } = await lstat(join(spool, name));
    found.push({ name, size, bytes: blocks * blockBytes });
  }
  return found;
}

/** Its content, piece by piece. No link of the server's is followed. */
export async function* contentOf({ spool }: Layout, { name, size }: Piece): AsyncGenerator<Buffer> {
  const file = await open(join(spool, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    for (let at = 0; at < size; ) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(pieceBytes, size - at)), 0, undefined, at);
      if (bytesRead === 0) throw new Error(`${name} is shorter than it was`);
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

export const release = ({ spool }: Layout, { name }: Piece): Promise<void> => rm(join(spool, name), { force: true });

/** Whether WAL waits that the server has not got rid of yet. */
export const isBehind = async ({ pgdata }: Layout): Promise<boolean> => (await readdir(join(pgdata, "pg_wal", "archive_status"))).some((name) => name.endsWith(".ready"));

/** Whether segments were given up since the last `forget`. */
export const lost = async ({ spool }: Layout): Promise<boolean> => (await glance(join(spool, "lost"), 64)) !== undefined;
export const forget = ({ spool }: Layout): Promise<void> => rm(join(spool, "lost"), { force: true });
