import { constants } from "node:fs";
import { open, readFile, rename } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type * as z from "zod";
import { AppError } from "#core/error";

/** Replaces the file as a whole, mode 0600; after a power cut it holds the old or the new text. */
async function replace(path: string, text: string): Promise<void> {
  const fresh = `${path}.new`;
  const file = await open(fresh, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
  const directory = await open(dirname(path), constants.O_RDONLY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** The file's text; undefined when there is none. */
async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Parses a JSON file that others wrote or that an earlier agent left. Says which file is wrong, never what is in it. */
export async function readJson<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S> | undefined> {
  const text = await textOf(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message quotes the text, which may be a key.
    throw new AppError("instanceFault", `${path} is not JSON`, { reason: "agent.file", final: true });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues.map((issue) => issue.path.join(".")).join(", ");
  throw new AppError("instanceFault", `${path} is not what this agent expects (${where})`, { reason: "agent.file", final: true });
}

/** A small value kept in memory and on disk. One process at a time (`lock.ts`). */
export class JsonFile<T> {
  readonly #path: string;
  #value: T;
  #last: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;

  private constructor(path: string, value: T) {
    this.#path = path;
    this.#value = value;
  }

  static async open<T>(path: string, schema: z.ZodType<T>, initial: T): Promise<JsonFile<T>> {
    return new JsonFile(path, (await readJson(path, schema)) ?? initial);
  }

  get value(): T {
    return this.#value;
  }

  /**
   * Changes memory at once and resolves when the change is on disk. Changes made while a
   * write is under way share the next one. Rejects with AppError `agent.disk` when the disk refuses; memory stays
   * changed, and the next write carries it.
   */
  update(value: T): Promise<void> {
    this.#value = value;
    this.#queued ??= this.#write(this.#last);
    return this.#queued;
  }

  #write(previous: Promise<void>): Promise<void> {
    const write = previous.then(() => {
      this.#queued = undefined;
      return replace(this.#path, JSON.stringify(this.#value)).catch((cause: NodeJS.ErrnoException) => {
        throw new AppError("serviceUnavailable", `The agent cannot write ${basename(this.#path)} (${cause.code ?? cause.name})`, { reason: "agent.disk", cause });
      });
    });
    // The failure of one write reaches its own callers and is no reason not to try the next.
    this.#last = write.catch(() => {});
    return write;
  }
}
