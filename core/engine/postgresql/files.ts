import { constants } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { codeOf } from "#core/error";

/** Longest of the files that a server writes for others to read. */
const glanceBytes = 64 * 1024;

/**
 * Replaces a file as a whole, lastingly. Only for directories that belong to us: in one of the
 * engine's, a broken engine could lay a link in the way of an agent that runs as root.
 */
export async function place(path: string, text: string, { mode = 0o600, gid }: { mode?: number; gid?: number | undefined } = {}): Promise<void> {
  const fresh = `${path}.new`;
  await rm(fresh, { force: true });
  const file = await open(fresh, "wx", 0o600);
  try {
    await file.writeFile(text);
    if (gid !== undefined) await file.chown(0, gid);
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
  await syncDirectory(dirname(path));
}

/** The same, writing nothing where the text is there already: on a full volume that is worth something. */
export async function placeIfNew(path: string, text: string, how: Parameters<typeof place>[2]): Promise<void> {
  if ((await glance(path))?.toString("utf8") !== text) await place(path, text, how);
}

/** Makes creations, renames and removals in this directory last. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The start of a file that the engine wrote; undefined when there is none. Neither a link nor a pipe laid in its place is followed or waited for. */
export async function glance(path: string, bytes = glanceBytes): Promise<Buffer | undefined> {
  let file;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(codeOf(error) ?? "")) return undefined;
    throw error;
  }
  try {
    if (!(await file.stat()).isFile()) return undefined;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
