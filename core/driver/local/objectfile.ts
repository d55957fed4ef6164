import { createHash, randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod";
import { check } from "#core/driver/call";
import { syncDirectory, unless } from "#core/driver/local/files";
import type { ByteRange, ObjectInfo } from "#core/driver/objectstore";
import type { Call } from "#core/driver/resource";
import { AppError } from "#core/error";

/*
 * An object is one file: its content, then what is known of it as JSON, then the length of that in four bytes. So one
 * rename replaces both, and the content need not be known before it has been written.
 */

const Footer = z.object({
  name: z.string(),
  bytes: z.number(),
  etag: z.string(),
  contentType: z.string(),
  modifiedUs: z.number(),
  meta: z.record(z.string(), z.string()),
  expiresAt: z.string().exactOptional(),
});

const chunkBytes = 64 * 1024;
/** Far above any: names have 1 KB, metadata is bounded by what a request's head may hold. */
const footerLimit = 256 * 1024;
const damaged = (cause?: unknown) => new AppError("instanceFault", "An object of the store is damaged.", { reason: "object.damaged", cause, final: true });

/** Writes the file beside its place and moves it there when it is whole and on disk. */
export async function writeObject(
  path: string,
  drafts: string,
  content: AsyncIterable<Uint8Array>,
  about: Omit<ObjectInfo, "bytes" | "etag" | "modifiedUs">,
  stamp: () => number,
  call: Call,
): Promise<ObjectInfo> {
  await mkdir(drafts, { recursive: true, mode: 0o700 });
  const draft = join(drafts, randomUUID());
  const file = await open(draft, "wx", 0o600);
  try {
    const hash = createHash("md5");
    let bytes = 0;
    for await (const part of content) {
      check(call, "storing an object");
      hash.update(part);
      bytes += part.length;
      await writeAll(file, part);
    }
    const info: ObjectInfo = { ...about, bytes, etag: hash.digest("hex"), modifiedUs: stamp() };
    const footer = Buffer.from(JSON.stringify(info));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(footer.length);
    await writeAll(file, Buffer.concat([footer, length]));
    await file.sync();
    await file.close();
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await rename(draft, path);
    await syncDirectory(dirname(path));
    return info;
  } catch (error) {
    await file.close();
    await rm(draft, { force: true });
    throw error;
  }
}

async function writeAll(file: FileHandle, part: Uint8Array): Promise<void> {
  for (let at = 0; at < part.length; ) at += (await file.write(part, at, part.length - at)).bytesWritten;
}

/** Opens an object; undefined when there is none. Whoever gets it closes it. */
export async function openObject(path: string): Promise<{ file: FileHandle; info: ObjectInfo } | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    unless(error, "ENOENT", "ENOTDIR");
    return undefined;
  }
  try {
    return { file, info: await footerOf(file) };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function footerOf(file: FileHandle): Promise<ObjectInfo> {
  const { size } = await file.stat();
  const read = async (bytes: number, at: number) => {
    if (at < 0 || bytes > footerLimit) throw damaged();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, at);
    if (bytesRead < bytes) throw damaged();
    return buffer;
  };
  const length = (await read(4, size - 4)).readUInt32BE();
  const text = (await read(length, size - 4 - length)).toString("utf8");
  const footer = Footer.safeParse(parsed(text));
  if (!footer.success || footer.data.bytes !== size - 4 - length) throw damaged(footer.error);
  const { expiresAt, ...rest } = footer.data;
  return { ...rest, ...(expiresAt !== undefined && { expiresAt: new Date(expiresAt) }) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw damaged(cause);
  }
}

/** The content, piece by piece; closes the file at its end, and also when it is given up, begun or not. */
export function contentOf(file: FileHandle, bytes: number, range: ByteRange = { from: 0, to: bytes - 1 }): AsyncIterableIterator<Uint8Array> {
  const end = Math.min(range.to + 1, bytes);
  let at = range.from;
  // A generator that was never asked for its first piece would not run to its `finally`.
  const close = async () => {
    await file.close();
    return { done: true, value: undefined } as const;
  };
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      if (at >= end) return close();
      try {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(chunkBytes, end - at)), 0, undefined, at);
        if (bytesRead === 0) throw damaged();
        at += bytesRead;
        return { done: false, value: buffer.subarray(0, bytesRead) };
      } catch (error) {
        await close();
        throw error;
      }
    },
    return: close,
  };
}
