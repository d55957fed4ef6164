import { randomBytes } from "node:crypto";
import { lstat, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { z } from "zod";
import { check, within } from "#core/driver/call";
import type { Call } from "#core/driver/resource";
import { AppError, codeOf } from "#core/error";

/** Passes over the errors named; throws every other one again. */
export function unless(error: unknown, ...codes: string[]): void {
  if (!codes.includes(codeOf(error) ?? "")) throw error;
}

/** The file has the old text or the new one, also after a power cut. */
export async function writeAtomic(path: string, text: string, mode = 0o600): Promise<void> {
  const fresh = `${path}.${randomBytes(4).toString("hex")}.new`;
  const file = await open(fresh, "wx", mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
  await syncDirectory(dirname(path));
}

/** Makes a creation, a rename or a removal in this directory last. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Undefined when there is no such file. AppError `instanceFault` when it is not what it should be. */
export async function readRecord<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S> | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    unless(error, "ENOENT", "ENOTDIR");
    return undefined;
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new AppError("instanceFault", `${path} cannot be read as a record of this driver.`, {
      reason: "driver.record",
      final: true,
      cause,
    });
  }
}

/** Names in a directory; none when it does not exist. */
export async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    unless(error, "ENOENT");
    return [];
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    unless(error, "ENOENT", "ENOTDIR");
    return false;
  }
}

/**
 * Removal in two steps: a rename, after which the thing is gone for everyone, then the
 * deletion, which may take long and is taken up again by `empty` after a crash.
 */
export class Trash {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** Resolves when it is out of sight; false when there was nothing. */
  async take(path: string): Promise<boolean> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    const place = join(this.directory, `${basename(path)}.${randomBytes(4).toString("hex")}`);
    try {
      await rename(path, place);
    } catch (error) {
      unless(error, "ENOENT");
      return false;
    }
    await syncDirectory(dirname(path));
    return true;
  }

  async empty(): Promise<void> {
    for (const name of await namesIn(this.directory)) {
      await rm(join(this.directory, name), { recursive: true, force: true });
    }
  }
}

/** Runs what is given under the same key one after the other. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const previous = this.#last.get(key) ?? Promise.resolve();
    const mine = previous.then(work, work);
    this.#last.set(key, mine);
    const forget = () => {
      if (this.#last.get(key) === mine) this.#last.delete(key);
    };
    mine.then(forget, forget);
    return mine;
  }

  /** The same for a driver's verb: the caller leaves when its time is up, and nothing begins after that. */
  call<T>(key: string, verb: string, call: Call, work: () => Promise<T>): Promise<T> {
    return within(call, verb, () =>
      this.take(key, async () => {
        check(call, verb);
        return work();
      }),
    );
  }
}
