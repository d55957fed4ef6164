import { copyFile, open, stat, truncate } from "node:fs/promises";
import { codeOf } from "#core/error";

/** The log and one older part, so twice this at most, plus what comes between two looks. */
const longestBytes = 16 * 1024 * 1024;
const tailBytes = 16 * 1024;

/**
 * Keeps the server's log from filling the volume. It is copied and emptied, as the server holds
 * the file open and appends; lines written between the two steps are lost.
 */
export async function trimLog(path: string): Promise<void> {
  if ((await logSize(path)) <= longestBytes) return;
  await copyFile(path, `${path}.1`);
  await truncate(path, 0);
}

/** Bytes; 0 while there is none. */
export async function logSize(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    return 0;
  }
}

/** Why a server ended, from what it logged after `offset`: its last word of weight. */
export async function lastFailure(path: string, offset: number): Promise<string> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const from = Math.max(offset, size - tailBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(tailBytes), 0, tailBytes, from);
    const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
    const grave = lines.findLast((line) => /\b(FATAL|PANIC):/.test(line)) ?? lines.findLast((line) => line.trim() !== "");
    return grave?.replace(/^.*?\b(FATAL|PANIC): +/, "") ?? "it left no message";
  } finally {
    await file.close();
  }
}
