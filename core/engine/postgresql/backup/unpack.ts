import { mkdir, open, readdir, rm, utimes, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { damaged } from "#core/archive/object";
import type { File } from "#core/archive/manifest";
import type { Source } from "#core/engine/physical";

/** Takes so many bytes at a time from contents that follow one another. */
class Contents {
  readonly #from: AsyncIterator<Buffer>;
  #left: Buffer = Buffer.alloc(0);

  constructor(from: AsyncIterable<Buffer>) {
    this.#from = from[Symbol.asyncIterator]();
  }

  async take(bytes: number, to: (piece: Buffer) => Promise<void>): Promise<void> {
    while (bytes > 0) {
      if (this.#left.length === 0) {
        const next = await this.#from.next();
        if (next.done) throw damaged("its contents end before its files do");
        this.#left = next.value;
      }
      const piece = this.#left.subarray(0, bytes);
      this.#left = this.#left.subarray(piece.length);
      bytes -= piece.length;
      await to(piece);
    }
  }

  /** Reads to the end, where nothing may be left, so that all of it was checked. */
  async end(): Promise<void> {
    if (this.#left.length > 0 || !(await this.#from.next()).done) throw damaged("its contents are longer than its files");
  }

  async close(): Promise<void> {
    await this.#from.return?.();
  }
}

/** Brings a directory from the state of the backup before, or from empty, to that of this one. */
export async function unpack(directory: string, source: Source, moved: (bytes: number) => void): Promise<void> {
  const contents = new Contents(source.content());
  const listed = new Set<string>(source.directories);
  try {
    for (const path of source.directories) await mkdir(join(directory, path), { recursive: true, mode: 0o700 });
    for (const file of source.files()) {
      listed.add(file.path);
      for (let parent = dirname(file.path); parent !== "."; parent = dirname(parent)) listed.add(parent);
      await mkdir(join(directory, dirname(file.path)), { recursive: true, mode: 0o700 });
      await write(join(directory, file.path), file, source.pageBytes, contents, moved);
    }
    await contents.end();
  } finally {
    await contents.close();
  }
  await removeOthers(directory, "", listed);
}

async function write(path: string, { size, mode, mtime, pages }: File, pageBytes: number, contents: Contents, moved: (bytes: number) => void): Promise<void> {
  const file = await open(path, pages ? "r+" : "w", mode).catch((error: NodeJS.ErrnoException) => {
    throw pages && error.code === "ENOENT" ? damaged(`its parent lacks a file of which it holds pages`) : error;
  });
  try {
    if (!pages) await put(file, 0, size, contents, moved);
    for (const [first, count] of pages ?? []) await put(file, first * pageBytes, count * pageBytes, contents, moved);
    if (pages) await file.truncate(size);
    await file.chmod(mode);
  } finally {
    await file.close();
  }
  await utimes(path, mtime, mtime);
}

async function put(file: FileHandle, at: number, bytes: number, contents: Contents, moved: (bytes: number) => void): Promise<void> {
  let to = at;
  await contents.take(bytes, async (piece) => {
    for (let done = 0; done < piece.length; ) {
      const { bytesWritten } = await file.write(piece, done, piece.length - done, to);
      done += bytesWritten;
      to += bytesWritten;
    }
    moved(piece.length);
  });
}

/** What the backup before had and this one has not. */
async function removeOthers(directory: string, path: string, listed: ReadonlySet<string>): Promise<void> {
  for (const entry of await readdir(join(directory, path), { withFileTypes: true })) {
    const inner = path === "" ? entry.name : `${path}/${entry.name}`;
    if (!listed.has(inner)) await rm(join(directory, inner), { recursive: true });
    else if (entry.isDirectory()) await removeOthers(directory, inner, listed);
  }
}
