import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#core/clock";
import { exists, namesIn } from "#core/driver/local/files";
import { contentOf, openObject, writeObject } from "#core/driver/local/objectfile";
import { longestName, type Container, type ObjectInfo, type ObjectStore } from "#core/driver/objectstore";
import { badRequest } from "#core/error";

/** Of a file's name on ext4, less the ending. */
const longestSegment = 253;

/**
 * A name, or a part of one, as the name of a file: letters, digits, `-` and `_` stand for themselves, every other byte as
 * `=` and two hex digits. So there are no dots, no slashes, and no two names for one file.
 */
const encode = (text: string) => (text === "" ? "=" : Buffer.from(text).toString("latin1").replace(/[^A-Za-z0-9_-]/g, (byte) => `=${byte.charCodeAt(0).toString(16).padStart(2, "0")}`));
const decode = (text: string) => (text === "=" ? "" : Buffer.from(text.replace(/=([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))), "latin1").toString("utf8"));

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

export interface LocalObjects extends ObjectStore {
  /** Removes what has expired, and drafts that a crash left. Call it when nobody writes yet, and from time to time. */
  sweep(options?: { drafts?: boolean }): Promise<void>;
}

/** An object store in a directory: `<root>/<project>/<container>/`, and below a directory for each part of a name before a slash. */
export function createLocalObjects({ root, clock }: { root: string; clock: Clock }): LocalObjects {
  const drafts = join(root, "drafts");
  const projects = join(root, "projects");
  let lastUs = 0;
  /** Rises with every call, however close together. */
  const stamp = () => (lastUs = Math.max(lastUs + 1, clock.now().getTime() * 1000));
  const live = (info: ObjectInfo) => info.expiresAt === undefined || info.expiresAt > clock.now();

  function folder({ projectId, name }: Container): string {
    if (name === "" || name.includes("/") || Buffer.byteLength(name) > longestName.container) throw badRequest(`'${name.slice(0, 80)}' is no name of a container: 1 to 256 bytes, without a slash.`, { reason: "container.name" });
    const parts = [projectId, name].map(encode);
    if (parts.some((part) => part.length > longestSegment)) throw badRequest("The name of the container is too long.", { reason: "container.name" });
    return join(projects, ...parts);
  }

  function place(at: Container, name: string): string {
    if (name === "" || Buffer.byteLength(name) > longestName.object) throw badRequest("The name of an object has 1 to 1024 bytes.", { reason: "object.name" });
    const parts = name.split("/").map(encode);
    if (parts.some((part) => part.length > longestSegment)) throw badRequest(`A part of an object's name may have ${longestSegment} bytes here (three for each that is no letter, digit, - or _).`, { reason: "object.name" });
    const last = parts.pop() ?? "";
    return join(folder(at), ...parts.map((part) => `${part}.d`), `${last}.o`);
  }

  /** Files below a directory in order of the objects' names, which all begin with `base`. */
  async function* walk(directory: string, base: string, wanted: { prefix: string; after?: string | undefined }): AsyncGenerator<string> {
    const { prefix, after } = wanted;
    const entries = (await namesIn(directory)).map((file) => ({ file, isFolder: file.endsWith(".d"), name: base + decode(file.slice(0, -2)) + (file.endsWith(".d") ? "/" : "") }));
    for (const { file, isFolder, name } of entries.sort((a, b) => byBytes(a.name, b.name))) {
      const isBehind = after === undefined || byBytes(name, after) > 0;
      if (isFolder) {
        if ((name.startsWith(prefix) || prefix.startsWith(name)) && (isBehind || after.startsWith(name))) yield* walk(join(directory, file), name, wanted);
      } else if (isBehind && name.startsWith(prefix)) yield join(directory, file);
    }
  }

  async function infoAt(path: string): Promise<ObjectInfo | undefined> {
    const found = await openObject(path);
    await found?.file.close();
    return found?.info;
  }

  return {
    put: async (at, name, content, { contentType = "application/octet-stream", meta = {}, expiresAt }, call) =>
      writeObject(place(at, name), drafts, content, { name, contentType, meta, ...(expiresAt && { expiresAt }) }, stamp, call),
    async head(at, name) {
      const info = await infoAt(place(at, name));
      return info && live(info) ? info : undefined;
    },
    async get(at, name, _, range) {
      const found = await openObject(place(at, name));
      if (!found) return undefined;
      if (live(found.info)) return { info: found.info, content: contentOf(found.file, found.info.bytes, range) };
      await found.file.close();
      return undefined;
    },
    async list(at, { prefix = "", after, limit }) {
      const directory = folder(at);
      if (!(await exists(directory))) return undefined;
      const infos: ObjectInfo[] = [];
      for await (const path of walk(directory, "", { prefix, after })) {
        if (infos.length >= limit) break;
        // Gone meanwhile is gone.
        const info = await infoAt(path);
        if (info && live(info)) infos.push(info);
      }
      return infos;
    },
    async remove(at, name) {
      await rm(place(at, name), { force: true });
    },
    async sweep(options = {}) {
      if (options.drafts) await rm(drafts, { recursive: true, force: true });
      for (const project of await namesIn(projects)) {
        for (const container of await namesIn(join(projects, project))) {
          for await (const path of walk(join(projects, project, container), "", { prefix: "" })) {
            const info = await infoAt(path);
            if (info && !live(info)) await rm(path, { force: true });
          }
        }
      }
    },
  };
}
