import { createHash } from "node:crypto";
import { parseManifest, type File, type Head, type Part } from "#core/archive/manifest";
import { chunksOf, damaged, opened, type About } from "#core/archive/object";
import type { StoredBackup } from "#core/guest/protocol";

/** Where objects of one place come from. */
export interface Origin {
  /** Undefined = there is none of this name. */
  get(name: string): Promise<Buffer | undefined>;
}

export interface Opened {
  installation: string;
  key: Buffer;
  backup: StoredBackup;
  from: Origin;
}

/** Far above any manifest; bounds what is inflated. */
const manifestBytes = 512 * 1024 * 1024;

const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

/** A stored backup. Nothing of it is handed out before it was checked against the manifest, and the manifest against the checksum. */
export class BackupReader {
  readonly #opened: Opened;
  readonly head: Head;
  /** In the order of their contents. */
  readonly files: () => Generator<File>;

  private constructor(opened: Opened, { head, files }: ReturnType<typeof parseManifest>) {
    this.#opened = opened;
    this.head = head;
    this.files = files;
  }

  /** AppError `archive.damaged` when there is no manifest, or another than this one. */
  static async open(given: Opened): Promise<BackupReader> {
    const { installation, key, backup, from } = given;
    const stored = await from.get("manifest");
    if (!stored) throw damaged("its manifest is missing");
    if (sha256(stored) !== backup.checksum) throw damaged("its manifest is not the one whose checksum was noted");
    const manifest = parseManifest(await opened(key, { installation, place: backup.place, name: "manifest" }, stored, manifestBytes));
    if (manifest.head.backupId !== backup.backupId) throw damaged("its manifest is that of another backup");
    return new BackupReader(given, manifest);
  }

  /** The contents of all files, one after the other; the next part is on its way while one is read. */
  async *content(): AsyncGenerator<Buffer> {
    const { installation, key, backup } = this.#opened;
    const { parts } = this.head;
    let coming = this.#fetch(parts[0]);
    for (const [at, part] of parts.entries()) {
      const stored = await coming;
      coming = this.#fetch(parts[at + 1]);
      const about: About = { installation, place: backup.place, name: part.name };
      let length = 0;
      for (const chunk of chunksOf(key, about, stored)) {
        length += chunk.length;
        yield chunk;
      }
      if (length !== part.content) throw damaged(`${part.name} is not as long as it was`);
    }
  }

  /** A part that nobody awaits any more may fail in silence. */
  #fetch(part: Part | undefined): Promise<Buffer> {
    const stored = part ? this.#part(part) : Promise.resolve(Buffer.alloc(0));
    stored.catch(() => {});
    return stored;
  }

  async #part({ name, stored, sha256: wanted }: Part): Promise<Buffer> {
    const bytes = await this.#opened.from.get(name);
    if (!bytes) throw damaged(`${name} is missing`);
    if (bytes.length !== stored || sha256(bytes) !== wanted) throw damaged(`${name} is not what was stored`);
    return bytes;
  }
}
