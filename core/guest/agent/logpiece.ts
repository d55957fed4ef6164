import { createHash } from "node:crypto";
import { open, type FileHandle } from "node:fs/promises";
import { LOG_CHUNK_BYTES, LOG_UPLOAD_BYTES } from "#core/guest/protocol";

/** How a file is known again after it was moved: by its first bytes, which hold a time. */
export interface Head {
  bytes: number;
  digest: string;
}

const headBytes = 1024;
const [lineEnd, tab] = [0x0a, 0x09];

/** Runs `work` on a file; undefined when there is none. */
export async function opened<T>(path: string, work: (file: FileHandle) => Promise<T>): Promise<T | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

/** The first bytes of a file, as many as there are now; undefined for an empty one. */
export async function headOf(file: FileHandle, bytes = headBytes): Promise<Head | undefined> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, 0);
  return bytesRead === 0 ? undefined : { bytes: bytesRead, digest: createHash("sha256").update(buffer.subarray(0, bytesRead)).digest("hex") };
}

/** Whether the file still begins as it did. */
export async function begins(file: FileHandle, head: Head): Promise<boolean> {
  const now = await headOf(file, head.bytes);
  return now?.bytes === head.bytes && now.digest === head.digest;
}

/**
 * The next piece of a log: about a chunk, to the end of a record, so that no line and no character is cut in two. A record
 * begins where a line does not begin with a tab. What has no end yet is left for later, unless nothing will be added (`closed`).
 */
export async function pieceAt(file: FileHandle, from: number, closed: boolean): Promise<{ bytes: Buffer; isLast: boolean } | undefined> {
  for (const most of [LOG_CHUNK_BYTES, LOG_UPLOAD_BYTES]) {
    // One more, to see how the next line begins.
    const { buffer, bytesRead } = await file.read(Buffer.alloc(most + 1), 0, most + 1, from);
    const isLast = bytesRead <= most;
    const read = buffer.subarray(0, bytesRead);
    const end = isLast ? (closed ? bytesRead : read.lastIndexOf(lineEnd) + 1) : recordEnd(read, most);
    if (end > 0) return { bytes: read.subarray(0, end), isLast };
    if (isLast) return undefined;
    if (most === LOG_UPLOAD_BYTES) return { bytes: read.subarray(0, read.lastIndexOf(lineEnd, most - 1) + 1 || characterEnd(read, most)), isLast };
  }
  return undefined;
}

function recordEnd(read: Buffer, most: number): number {
  for (let at = read.lastIndexOf(lineEnd, most - 1); at >= 0; at = at === 0 ? -1 : read.lastIndexOf(lineEnd, at - 1)) if (read[at + 1] !== tab) return at + 1;
  return 0;
}

/** Where a character of UTF-8 ends, at `most` or a little before. */
function characterEnd(read: Buffer, most: number): number {
  let end = most;
  while (end > most - 4 && ((read[end] ?? 0) & 0xc0) === 0x80) end--;
  return end;
}

/** `PASSWORD '...'`, as one writes it in CREATE and ALTER ROLE, in each of PostgreSQL's ways to quote. */
const passwords = /(\bpassword\s+)(e'(?:[^'\\]|''|\\[^])*'|(?:u&)?'(?:[^']|'')*'|\$(\w*)\$[^]*?\$\3\$)/gi;

/** The piece with passwords of SQL statements made unreadable, byte for byte as long as before. */
export function masked(piece: Buffer): Buffer {
  // As latin1 every byte is one character, and back.
  const text = piece.toString("latin1");
  return Buffer.from(text.replace(passwords, (_, word: string, secret: string) => word + secret.replace(/[^'\n\t]/g, "*")), "latin1");
}
