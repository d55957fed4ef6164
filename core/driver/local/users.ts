import { createHash } from "node:crypto";
import { chown, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError, codeOf } from "#core/error";

/** User ids of an installation, from `first`; `end` is no longer one. The last of them, `end - 1`, is the state database's. */
export interface UidRange {
  first: number;
  end: number;
}

const BLOCK = 4096;
/** uids.systemd.io: 1879048192 up to 2^31 is used by nobody. */
const UNUSED_FIRST = 1_879_048_192;
const UNUSED_BLOCKS = 65_000;

/**
 * An installation's own block of user ids. Where a user namespace maps too few ids for that
 * part of the range, blocks of 500 between 20000 and 60000.
 */
export function uidRange(installation: string, mapped: number): UidRange {
  const hash = createHash("sha256").update(`uid:${installation}`).digest().readUInt32BE();
  if (mapped > UNUSED_FIRST + UNUSED_BLOCKS * BLOCK) {
    const first = UNUSED_FIRST + (hash % UNUSED_BLOCKS) * BLOCK;
    return { first, end: first + BLOCK };
  }
  const first = 20_000 + (hash % 80) * 500;
  return { first, end: first + 500 };
}

/** How many user ids, from 0, exist in this user namespace. */
export async function mappedUids(): Promise<number> {
  let map: string;
  try {
    map = await readFile("/proc/self/uid_map", "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return 2 ** 32 - 1;
    throw error;
  }
  const [inside, , count] = map.trim().split("\n")[0]?.trim().split(/\s+/).map(Number) ?? [];
  return inside === 0 ? (count ?? 0) : 0;
}

/** Whether files below `root` can be given to a user id of the range. */
export async function canChown(root: string, range: UidRange): Promise<boolean> {
  const probe = join(root, `.chown-${process.pid}`);
  await writeFile(probe, "");
  try {
    await chown(probe, range.first, range.first);
    return true;
  } catch (error) {
    if (["EPERM", "EINVAL", "EOVERFLOW", "ENOSYS"].includes(codeOf(error) ?? "")) return false;
    throw error;
  } finally {
    await rm(probe, { force: true });
  }
}

/** The id after the highest in use, so that one freed a moment ago is the last to come again. */
export function nextUid(range: UidRange, used: ReadonlySet<number>): number {
  const last = range.end - 2;
  const highest = Math.max(range.first - 1, ...[...used].filter((uid) => uid <= last));
  if (highest < last) return highest + 1;
  for (let uid = range.first; uid <= last; uid++) if (!used.has(uid)) return uid;
  throw new AppError("overLimit", "This machine has no user id left for another volume.", { reason: "volume.users" });
}
