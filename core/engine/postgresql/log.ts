import { copyFile, open, rm, stat, truncate } from "node:fs/promises";
import { codeOf } from "#core/error";

const megabyte = 1024 ** 2;

/**
 * Bytes of the log at most, and as many of an older part, plus what comes between two looks. One with every statement in it may
 * have a twentieth of the volume, so that whoever publishes it from time to time misses nothing.
 */
export const longestLog = ({ volumeGb, full }: { volumeGb: number; full: boolean }) => (full ? Math.min(Math.max((volumeGb * 1024 * megabyte) / 20, 16 * megabyte), 256 * megabyte) : 16 * megabyte);
const tailBytes = 16 * 1024;

/**
 * Keeps the server's log from filling the volume. It is copied and emptied, as the server holds
 * the file open and appends; lines written between the two steps are lost. Where there is no room
 * for the copy, the database is worth more than its log.
 */
export async function trimLog(path: string, longestBytes: number): Promise<void> {
  if ((await logSize(path)) <= longestBytes) return;
  try {
    await copyFile(path, olderLog(path));
  } catch (error) {
    if (codeOf(error) !== "ENOSPC") throw error;
    await rm(olderLog(path), { force: true });
  }
  await truncate(path, 0);
}

export const olderLog = (path: string) => `${path}.1`;

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
