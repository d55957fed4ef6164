import { open, rename, rm, stat } from "node:fs/promises";
import { codeOf } from "#core/error";

/*
 * A server that ended for want of room for WAL needs room for WAL to come up. A file of no use keeps it, where the volume is a
 * file system of its own; in a directory others would have taken it before.
 */

/** Two segments. */
const reserveBytes = 32 * 1024 ** 2;
const chunk = 1024 ** 2;

/** Sets the room aside, if it is not yet. A crash leaves no half of one in its place. */
export async function setAside(path: string): Promise<void> {
  if (await exists(path)) return;
  const draft = `${path}.new`;
  const file = await open(draft, "w", 0o600);
  try {
    // Written, as there is no other way to be given blocks here.
    for (let at = 0; at < reserveBytes; at += chunk) await file.write(Buffer.alloc(chunk), 0, chunk, at);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
}

/** Gives it to whoever needs it. False when there was nothing to give. */
export async function spend(path: string): Promise<boolean> {
  const there = await exists(path);
  await rm(path, { force: true });
  return there;
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
