import { lstat, opendir, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { codeOf } from "#core/engine/postgresql/files";

const GB = 1024 ** 3;
/** `st_blocks` counts in these, whatever the file system's own blocks are. */
const blockBytes = 512;

/**
 * Bytes in use and there to be used. A volume that is a file system of its own knows both at once;
 * one that is a directory is walked, and its size is what was asked for, as nothing enforces it.
 */
export async function usageOf(volume: string, volumeGb: number | undefined): Promise<{ usedBytes: number; totalBytes: number }> {
  const { bsize, blocks, bfree } = await statfs(volume);
  const isOwn = (await lstat(volume)).dev !== (await lstat(dirname(volume))).dev;
  if (isOwn) return { usedBytes: (blocks - bfree) * bsize, totalBytes: blocks * bsize };
  return { usedBytes: await sum(volume), totalBytes: volumeGb === undefined ? blocks * bsize : volumeGb * GB };
}

/** Without keeping all names in memory, and one file at a time: it may take long, but it hardly disturbs. */
async function sum(directory: string): Promise<number> {
  let bytes = 0;
  try {
    for await (const entry of await opendir(directory, { bufferSize: 256 })) {
      const path = join(directory, entry.name);
      bytes += entry.isDirectory() ? await sum(path) : await sizeOf(path);
    }
  } catch (error) {
    // The server removes files and directories all the time.
    if (codeOf(error) !== "ENOENT") throw error;
  }
  return bytes;
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await lstat(path)).blocks * blockBytes;
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    return 0;
  }
}
