import { lstat, opendir, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "#core/clock";
import type { Machine, Usage } from "#core/engine/engine";
import { codeOf } from "#core/error";

const GB = 1024 ** 3;
/** `st_blocks` counts in these, whatever the file system's own blocks are. */
const blockBytes = 512;
/** A directory is walked at least this often, ms. */
const walkEveryMs = 30_000;
/**
 * And takes at most this share of a core: the smaller while the file system below lost no more than an eighth of what is
 * free in the volume, the greater once it lost half of that, as the volume may then be full before the next walk.
 */
const walkShares = { suspicious: 0.05, urgent: 0.5 };

interface Walk {
  at: number;
  tookMs: number;
  bytes: number;
  /** What the file system below had left then. */
  below: number;
}

/**
 * A volume that is a file system of its own tells its use at once, and what is full there is full. One that is a
 * directory is walked; its size is what was asked for, as nothing but the guard of the agent enforces it.
 */
export class VolumeMeter {
  readonly #volume: string;
  readonly #backing: string | undefined;
  readonly #clock: Clock;
  #walk: Walk | undefined;

  constructor({ volumeDirectory, backingDirectory }: Machine, clock: Clock) {
    this.#volume = volumeDirectory;
    this.#backing = backingDirectory;
    this.#clock = clock;
  }

  /** Whether the volume is a file system of its own. */
  async isOwn(): Promise<boolean> {
    return (await lstat(this.#volume)).dev !== (await lstat(dirname(this.#volume))).dev;
  }

  /** `volumeGb` is the size that was asked for; undefined = as much as there is. */
  async read(volumeGb: number | undefined): Promise<Usage> {
    const { bsize, blocks, bfree, bavail } = await statfs(this.#volume);
    const below = Math.min(bavail * bsize, this.#backing === undefined ? Infinity : await room(this.#backing));
    if (await this.isOwn()) return { usedBytes: (blocks - bfree) * bsize, totalBytes: blocks * bsize, freeBytes: below };
    const totalBytes = volumeGb === undefined ? blocks * bsize : volumeGb * GB;
    const usedBytes = await this.#used(below, totalBytes);
    return { usedBytes, totalBytes, freeBytes: Math.max(0, Math.min(totalBytes - usedBytes, below)) };
  }

  /**
   * Bytes below the directory, as of the last walk; walked again when that is old, or when the file system
   * lost so much meanwhile that it may have gone in here.
   */
  async #used(below: number, totalBytes: number): Promise<number> {
    const last = this.#walk;
    const began = this.#clock.now().getTime();
    if (last) {
      const age = began - last.at;
      const [lost, free] = [last.below - below, Math.max(0, totalBytes - last.bytes)];
      const isRested = age >= last.tookMs / walkShares[lost > free / 2 ? "urgent" : "suspicious"];
      if (age < walkEveryMs && !(lost > free / 8 && isRested)) return last.bytes;
    }
    const bytes = await sum(this.#volume);
    const at = this.#clock.now().getTime();
    this.#walk = { at, tookMs: at - began, bytes, below };
    return bytes;
  }
}

async function room(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
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
