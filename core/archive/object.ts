import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from "node:crypto";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createDeflateRaw, inflateRaw } from "node:zlib";
import { AppError } from "#core/error";
import type { Place } from "#core/guest/protocol";

/*
 * An object of an archive: a head of 40 bytes (form, flags, salt), then its content in chunks, each sealed by AES-256-GCM. Key and
 * nonces are derived from the data key, the salt and the object's full name (HKDF-SHA-256), so that no two objects share a nonce and an
 * object under another name does not open. A nonce is 7 derived bytes, the chunk's number and whether it is the last (STREAM,
 * Hoang et al. 2015): what was cut, reordered, exchanged or changed is refused.
 */

const FORM = Buffer.from("CFA1");
const DEFLATED = 1;
const SALT_BYTES = 32;
export const HEAD_BYTES = 40;
export const CHUNK_BYTES = 256 * 1024;
export const TAG_BYTES = 16;

/** What an object is, and is not to be taken for anything else. */
export interface About {
  installation: string;
  place: Place;
  /** Below the prefix. */
  name: string;
}

export const damaged = (what: string, cause?: unknown) =>
  new AppError("instanceFault", `The backup cannot be used: ${what}.`, { reason: "archive.damaged", next: "Restore another backup.", final: true, cause });

const bound = ({ installation, place: { projectId, container, prefix }, name }: About) =>
  ["coffer archive v1", installation, projectId, container, prefix, name].map((part) => `${Buffer.byteLength(part)}:${part}`).join("\n");

function keysOf(dataKey: Buffer, about: About, head: Buffer): { key: Buffer; prefix: Buffer } {
  if (dataKey.length !== 32) throw new Error("a data key has 32 bytes");
  const info = Buffer.concat([head.subarray(0, HEAD_BYTES - SALT_BYTES), Buffer.from(bound(about))]);
  // HKDF's `info` may have 1 KB in OpenSSL.
  const derived = Buffer.from(hkdfSync("sha256", dataKey, head.subarray(-SALT_BYTES), createHash("sha256").update(info).digest(), 39));
  return { key: derived.subarray(0, 32), prefix: derived.subarray(32) };
}

function nonceOf(prefix: Buffer, at: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  prefix.copy(nonce);
  nonce.writeUInt32BE(at, 7);
  nonce[11] = isLast ? 1 : 0;
  return nonce;
}

/** Seals a content that comes piece by piece; what is to be stored goes to `out`. */
export class Sealer {
  readonly #key: Buffer;
  readonly #prefix: Buffer;
  readonly #out: (bytes: Buffer) => void;
  readonly #chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  #filled = 0;
  #at = 0;

  constructor(dataKey: Buffer, about: About, out: (bytes: Buffer) => void, flags = 0) {
    const head = Buffer.concat([FORM, Buffer.from([flags, 0, 0, 0]), randomBytes(SALT_BYTES)]);
    ({ key: this.#key, prefix: this.#prefix } = keysOf(dataKey, about, head));
    this.#out = out;
    out(head);
  }

  add(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; ) {
      // A full chunk is kept until there is more: it may be the last.
      if (this.#filled === CHUNK_BYTES) this.#seal(false);
      const taken = Math.min(CHUNK_BYTES - this.#filled, bytes.length - from);
      this.#chunk.set(bytes.subarray(from, from + taken), this.#filled);
      this.#filled += taken;
      from += taken;
    }
  }

  end(): void {
    this.#seal(true);
  }

  #seal(isLast: boolean): void {
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonceOf(this.#prefix, this.#at++, isLast));
    this.#out(cipher.update(this.#chunk.subarray(0, this.#filled)));
    cipher.final();
    this.#out(cipher.getAuthTag());
    this.#filled = 0;
  }
}

const inflate = promisify(inflateRaw);

/** A whole object as it is stored, deflated first; its content is never in memory as a whole. */
export async function sealed(dataKey: Buffer, about: About, content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = [];
  const sealer = new Sealer(dataKey, about, (bytes) => parts.push(bytes), DEFLATED);
  await pipeline(content, createDeflateRaw({ level: 1, chunkSize: CHUNK_BYTES }), async (deflated: AsyncIterable<Buffer>) => {
    for await (const piece of deflated) sealer.add(piece);
  });
  sealer.end();
  return Buffer.concat(parts);
}

/** The content of a stored object, chunk by chunk. Throws AppError `archive.damaged` at the first that is not what was stored under this name and key. */
export function* chunksOf(dataKey: Buffer, about: About, stored: Buffer): Generator<Buffer> {
  const head = stored.subarray(0, HEAD_BYTES);
  if (head.length < HEAD_BYTES || !head.subarray(0, FORM.length).equals(FORM)) throw damaged(`${about.name} is no object of an archive`);
  const { key, prefix } = keysOf(dataKey, about, head);
  for (let at = 0, from = HEAD_BYTES; ; at++) {
    const end = Math.min(from + CHUNK_BYTES + TAG_BYTES, stored.length);
    const isLast = end === stored.length;
    try {
      if (end - from < TAG_BYTES) throw new Error("it ends too soon");
      const decipher = createDecipheriv("aes-256-gcm", key, nonceOf(prefix, at, isLast), { authTagLength: TAG_BYTES }).setAuthTag(stored.subarray(end - TAG_BYTES, end));
      const content = decipher.update(stored.subarray(from, end - TAG_BYTES));
      decipher.final();
      yield content;
    } catch (cause) {
      if (cause instanceof AppError) throw cause;
      throw damaged(`${about.name} was changed, or belongs to another backup, or was sealed with another key`, cause);
    }
    if (isLast) return;
    from = end;
  }
}

/** The content of what `sealed` made, of at most `most` bytes. */
export async function opened(dataKey: Buffer, about: About, stored: Buffer, most: number): Promise<Buffer> {
  const content = Buffer.concat([...chunksOf(dataKey, about, stored)]);
  if ((stored[FORM.length] ?? 0) !== DEFLATED) return content;
  return inflate(content, { maxOutputLength: most });
}
