import { createHash } from "node:crypto";
import { manifestText, fileLine, type File, type Head, type Part } from "#core/archive/manifest";
import { CHUNK_BYTES, HEAD_BYTES, sealed, Sealer, TAG_BYTES, type About } from "#core/archive/object";

/** Where objects of one place are put, each as a whole and with retries of its own. */
export interface Destination {
  put(name: string, stored: Uint8Array): Promise<void>;
}

const partChunks = 64;
/** Content of a part. */
export const PART_BYTES = partChunks * CHUNK_BYTES;
const storedBytes = HEAD_BYTES + partChunks * (CHUNK_BYTES + TAG_BYTES);
/** Parts in memory: one that fills, the others on their way. */
const partsInHand = 3;

/** What is known of a backup besides what was written. */
export type Facts = Omit<Head, "form" | "parts" | "files">;

interface OpenPart {
  name: string;
  sealer: Sealer;
  content: number;
  end(): { buffer: Buffer; stored: Buffer };
}

/** Cuts what is written into parts, seals and stores them while more is written, and ends with the manifest. Memory is that of three parts. */
export class BackupWriter {
  readonly #key: Buffer;
  readonly #about: Omit<About, "name">;
  readonly #to: Destination;
  readonly #free: Buffer[] = Array.from({ length: partsInHand }, () => Buffer.allocUnsafeSlow(storedBytes));
  readonly #waiting: ((buffer: Buffer) => void)[] = [];
  readonly #moving = new Set<Promise<void>>();
  readonly #parts: Part[] = [];
  readonly #lines: Buffer[] = [];
  #open: OpenPart | undefined;
  #count = 0;
  #bytes = 0;
  #failure: { cause: unknown } | undefined;

  constructor(key: Buffer, about: Omit<About, "name">, to: Destination) {
    this.#key = key;
    this.#about = about;
    this.#to = to;
  }

  /** Bytes stored so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Content of the files, in the order in which they are listed by `file`. Waits while too much is on its way; throws what storing threw. */
  async write(content: Uint8Array): Promise<void> {
    for (let from = 0; from < content.length; ) {
      const part = (this.#open ??= await this.#begin());
      const taken = Math.min(PART_BYTES - part.content, content.length - from);
      part.sealer.add(content.subarray(from, from + taken));
      part.content += taken;
      from += taken;
      if (part.content === PART_BYTES) this.#close(part);
    }
  }

  /** Lists a file whose content was written just now. */
  file(file: File): void {
    this.#lines.push(fileLine(file));
  }

  /** Awaits all parts, then stores the manifest. */
  async finish(facts: Facts): Promise<{ bytes: number; parts: number; checksum: string }> {
    if (this.#open) this.#close(this.#open);
    await this.#settle();
    const parts = this.#parts.sort((a, b) => (a.name < b.name ? -1 : 1));
    const manifest = await sealed(this.#key, { ...this.#about, name: "manifest" }, manifestText({ ...facts, form: 1, parts, files: this.#lines.length }, this.#lines));
    await this.#to.put("manifest", manifest);
    this.#bytes += manifest.length;
    return { bytes: this.#bytes, parts: parts.length, checksum: createHash("sha256").update(manifest).digest("hex") };
  }

  /** Awaits the end of what is on its way, however it ends: nothing is sent after a backup was given up. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.#moving);
  }

  async #begin(): Promise<OpenPart> {
    const buffer = this.#free.pop() ?? (await new Promise<Buffer>((resolve) => this.#waiting.push(resolve)));
    if (this.#failure) {
      this.#free.push(buffer);
      throw this.#failure.cause;
    }
    const name = `part-${String(++this.#count).padStart(8, "0")}`;
    let length = 0;
    const sealer = new Sealer(this.#key, { ...this.#about, name }, (bytes) => (length += bytes.copy(buffer, length)));
    return { name, sealer, content: 0, end: () => (sealer.end(), { buffer, stored: buffer.subarray(0, length) }) };
  }

  #close(part: OpenPart): void {
    this.#open = undefined;
    const { name, content } = part;
    const { buffer, stored } = part.end();
    this.#parts.push({ name, stored: stored.length, content, sha256: createHash("sha256").update(stored).digest("hex") });
    const moving = this.#to
      .put(name, stored)
      .then(
        () => void (this.#bytes += stored.length),
        (cause: unknown) => void (this.#failure ??= { cause }),
      )
      .then(() => {
        this.#moving.delete(moving);
        const next = this.#waiting.shift();
        if (next) next(buffer);
        else this.#free.push(buffer);
      });
    this.#moving.add(moving);
  }

  async #settle(): Promise<void> {
    await Promise.all(this.#moving);
    if (this.#failure) throw this.#failure.cause;
  }
}
