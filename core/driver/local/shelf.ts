import { randomBytes } from "node:crypto";
import { chmod, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { badRequest } from "#core/error";
import { namesIn, readRecord, syncDirectory, unless, writeAtomic, type Trash } from "#core/driver/local/files";

/** What every record on a shelf starts with. */
export const Entry = z.object({ id: z.string(), name: z.string(), createdAt: z.coerce.date() });
export type Entry = z.infer<typeof Entry>;

const staging = ".new-";
const safeName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

/** Names become directories, so nothing but a plain word may be one. */
export function checkName(name: string): void {
  if (!safeName.test(name)) throw badRequest(`${JSON.stringify(name)} is no name for a resource.`, { final: true });
}

/** An id names its resource and differs from the id of an earlier one of that name. */
export const newId = (name: string) => `${name}:${randomBytes(4).toString("hex")}`;
const nameOfId = (id: string) => id.slice(0, id.lastIndexOf(":"));

/**
 * A directory of directories, one per resource, each with its record. A resource appears with
 * one rename, complete, and disappears with one: there is no half of one at any moment.
 */
export class Shelf<R extends Entry> {
  readonly directory: string;
  readonly #file: string;
  readonly #schema: z.ZodType<R>;
  readonly #trash: Trash;
  readonly #mode: number;

  constructor(options: { directory: string; file: string; schema: z.ZodType<R>; trash: Trash; mode: number }) {
    this.directory = options.directory;
    this.#file = options.file;
    this.#schema = options.schema;
    this.#trash = options.trash;
    this.#mode = options.mode;
  }

  /** Makes the shelf and clears away what a crash left half made. Only before any `put`. */
  async open(): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: this.#mode });
    // Whatever the umask made of it.
    await chmod(this.directory, this.#mode);
    for (const name of await namesIn(this.directory)) {
      if (name.startsWith(staging)) await rm(join(this.directory, name), { recursive: true, force: true });
    }
  }

  path(name: string): string {
    checkName(name);
    return join(this.directory, name);
  }

  /** Puts a new resource there, filled by `fill`; or returns the one that has the name already. */
  async put(record: R, fill: (directory: string) => Promise<void>): Promise<R> {
    const place = this.path(record.name);
    const draft = join(this.directory, `${staging}${randomBytes(8).toString("hex")}`);
    await mkdir(draft, { mode: this.#mode });
    try {
      await chmod(draft, this.#mode);
      await fill(draft);
      await writeAtomic(join(draft, this.#file), JSON.stringify(record));
      await rename(draft, place);
    } catch (error) {
      await rm(draft, { recursive: true, force: true });
      unless(error, "ENOTEMPTY", "EEXIST");
      const present = await this.named(record.name);
      if (!present) throw error;
      return present;
    }
    await syncDirectory(this.directory);
    return record;
  }

  async rewrite(record: R): Promise<void> {
    await writeAtomic(join(this.path(record.name), this.#file), JSON.stringify(record));
  }

  named(name: string): Promise<R | undefined> {
    return readRecord(join(this.path(name), this.#file), this.#schema);
  }

  async get(id: string): Promise<R | undefined> {
    const name = nameOfId(id);
    const found = safeName.test(name) ? await this.named(name) : undefined;
    return found?.id === id ? found : undefined;
  }

  async list(): Promise<R[]> {
    const names = (await namesIn(this.directory)).filter((name) => !name.startsWith(staging));
    const found = await Promise.all(names.map((name) => this.named(name)));
    return found.filter((one) => one !== undefined).sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime());
  }

  /** Out of sight when this resolves; its bytes go when the trash is emptied. */
  async drop(name: string): Promise<void> {
    await this.#trash.take(this.path(name));
  }
}
