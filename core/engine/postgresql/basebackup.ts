import { createHash } from "node:crypto";
import { mkdir, open } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract, type Extract } from "tar-stream";
import * as z from "zod";
import { AppError } from "#core/error";

/** PostgreSQL's backup manifest, as far as it is looked at (manual, "Backup Manifest Format"). */
const Manifest = z.object({ Files: z.array(z.object({ Path: z.string(), Size: z.number(), Checksum: z.string() })) });

/** What BASE_BACKUP is asked for: with its WAL, so that the copy stands by itself, and with a checksum of every file. */
export const baseBackup = "BASE_BACKUP (LABEL 'coffer', CHECKPOINT 'fast', WAL true, WAIT false, MANIFEST 'yes', MANIFEST_CHECKSUMS 'SHA256')";

const damaged = (what: string) => new AppError("serviceUnavailable", `The copy of the source's data is damaged: ${what}.`, { reason: "replica.copy", next: "It is copied anew." });

/**
 * Writes what BASE_BACKUP sends (PostgreSQL 15 and later: one letter, then its data, in every message) into an empty directory,
 * as it comes: memory holds one message and one block of a file. Throws AppError unless every file is, byte for byte, what the manifest says.
 */
export async function unpack(stream: NodeJS.ReadableStream, directory: string): Promise<void> {
  const archive = extract();
  const digests = new Map<string, string>();
  const writing = writeFiles(archive, directory, digests);
  // Whoever is told first tells why; the other one only ends.
  writing.catch((error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))));
  const messages = new Messages(archive);
  await pipeline(stream, messages);
  await writing;
  verify(messages.manifest, digests);
}

/** One message a chunk: Node hands chunks to a pipe as they were pushed. That none was cut or joined, the manifest proves. */
class Messages extends Writable {
  readonly #archive: Extract;
  readonly #manifest: Buffer[] = [];
  #archives = 0;
  #inManifest = false;

  constructor(archive: Extract) {
    // A queue of more than one message would hold them in memory for nothing.
    super({ highWaterMark: 1 });
    this.#archive = archive;
  }

  get manifest(): string {
    return Buffer.concat(this.#manifest).toString("utf8");
  }

  override _write(message: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    const body = message.subarray(1);
    switch (String.fromCharCode(message[0] ?? 0)) {
      case "n":
        // base.tar comes alone: a tenant can make no tablespace.
        if (++this.#archives > 1) return done(new AppError("badRequest", "The source has tablespaces, which a replica cannot have.", { reason: "replica.tablespace", final: true }));
        return done();
      case "m":
        this.#inManifest = true;
        return done();
      case "p":
        return done();
      case "d":
        if (this.#inManifest) {
          // It may go on living in the driver's buffer otherwise.
          this.#manifest.push(Buffer.from(body));
          return done();
        }
        if (this.#archive.write(Buffer.from(body))) return done();
        return void this.#archive.once("drain", () => done());
      default:
        return done(damaged("the source sent what is no part of a base backup"));
    }
  }

  override _final(done: () => void): void {
    this.#archive.end(undefined);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (error) this.#archive.destroy(error);
    done(error);
  }
}

async function writeFiles(archive: Extract, directory: string, digests: Map<string, string>): Promise<void> {
  for await (const entry of archive) {
    const { name, type } = entry.header;
    const path = inside(directory, name);
    if (type === "directory") await mkdir(path, { recursive: true, mode: 0o700 });
    else if (type === "file") digests.set(normalize(name), await writeFile(path, entry as AsyncIterable<Buffer>));
    else throw damaged(`${name} is a ${type}`);
    entry.resume();
  }
}

/** The source may have been broken into: nothing it names may lead out of the directory. */
function inside(directory: string, name: string): string {
  const path = join(directory, name);
  if (name.startsWith("/") || (path !== directory && !path.startsWith(`${directory}/`))) throw damaged(`${JSON.stringify(name)} leads out of it`);
  return path;
}

/** SHA-256, hex. */
async function writeFile(path: string, content: AsyncIterable<Buffer>): Promise<string> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const hash = createHash("sha256");
  const file = await open(path, "wx", 0o600);
  try {
    for await (const chunk of content) {
      hash.update(chunk);
      await file.writeFile(chunk);
    }
  } finally {
    await file.close();
  }
  return hash.digest("hex");
}

function verify(text: string, digests: ReadonlyMap<string, string>): void {
  const [, body = "", sum = ""] = /^([^]*\n)"Manifest-Checksum": "([0-9a-f]+)"\}\n$/.exec(text) ?? [];
  if (sum === "" || createHash("sha256").update(body).digest("hex") !== sum) throw damaged("its manifest is not whole");
  for (const { Path, Checksum } of Manifest.parse(JSON.parse(text)).Files) {
    if (digests.get(normalize(Path)) !== Checksum) throw damaged(`${Path} is not as it was sent`);
  }
}
