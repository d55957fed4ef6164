import { Hono, type Context } from "hono";
import type { Clock } from "#core/clock";
import type { Container, ObjectStore } from "#core/driver/objectstore";
import { bodyOf, bounded, tooLarge } from "#core/driver/stream";
import { AppError, badRequest } from "#core/error";
import { granted, type Grant } from "#core/guest/grant";
import type { ObjectList } from "#core/guest/protocol";

export interface GuestObjects {
  store: ObjectStore;
  /** By which grants are known: `grantKey`. */
  key: Buffer;
  clock: Clock;
}

/** A client that takes longer for one object is given up. */
const PATIENCE_MS = 5 * 60_000;
const PAGE = 1000;
const Name = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;

/**
 * Objects of backups and of archived WAL, for agents: `objects/<project>/<container>/<prefix>/<name>`, by a bearer grant that names
 * all but the name. Contents go by in pieces, both ways.
 */
export function createGuestObjects({ store, key, clock }: GuestObjects): Hono {
  const app = new Hono();
  app.all("/objects/*", async (c) => {
    const grant = granted(key, c.req.header("authorization"), clock.now());
    const { projectId, container, prefix } = grant.place;
    const [project, name, ...rest] = new URL(c.req.url).pathname.split("/objects/")[1]?.split("/").map(decodeURIComponent) ?? [];
    const path = rest.join("/");
    const method = grant.methods.find((one) => one === c.req.method);
    if (!method || project !== projectId || name !== container || !(path === prefix || path.startsWith(`${prefix}/`))) throw new AppError("forbidden", "The grant is not for this.", { reason: "grant.other" });
    const at: Container = { projectId, name: container };
    const call = { signal: AbortSignal.timeout(PATIENCE_MS) };
    if (path === prefix) return c.json(await listing(c, at, prefix, call));
    if (!Name.test(path.slice(prefix.length + 1))) throw badRequest("The name of an object has letters, digits, '.', '_' and '-', and no part that begins with a dot.", { reason: "object.name" });
    return method === "PUT" ? write(c, grant, at, path, call) : read(at, path, method, call);
  });
  return app;

  async function listing(c: Context, at: Container, prefix: string, call: { signal: AbortSignal }): Promise<ObjectList> {
    if (c.req.query("list") === undefined) throw badRequest("Below a prefix objects have names; to list them, ask with ?list.", { reason: "object.name" });
    const after = c.req.query("after");
    const found = await store.list(at, { prefix: `${prefix}/`, limit: PAGE, ...(after && { after: `${prefix}/${after}` }) }, call);
    return { objects: (found ?? []).map(({ name, bytes }) => ({ name: name.slice(prefix.length + 1), bytes })) };
  }

  async function write(c: Context, { mostBytes }: Grant, at: Container, name: string, call: { signal: AbortSignal }): Promise<Response> {
    const { body, headers } = c.req.raw;
    const length = Number(headers.get("content-length") ?? Number.NaN);
    // Without it an upload that breaks off could not be told from one that ended.
    if (!Number.isSafeInteger(length)) throw badRequest("content-length: is required.", { reason: "object.length" });
    if (length > mostBytes) throw tooLarge(mostBytes);
    const stored = await store.put(at, name, whole(bounded(body, mostBytes), length), {}, call);
    return c.json({ etag: stored.etag }, 201);
  }

  async function read(at: Container, name: string, method: "GET" | "HEAD", call: { signal: AbortSignal }): Promise<Response> {
    const info = await store.head(at, name, call);
    if (!info) return new Response(null, { status: 404 });
    const headers = { "content-type": info.contentType, etag: `"${info.etag}"`, "content-length": String(info.bytes) };
    if (method === "HEAD") return new Response(null, { headers });
    const found = await store.get(at, name, call);
    if (!found) return new Response(null, { status: 404 });
    return new Response(bodyOf(found.content), { headers: { ...headers, etag: `"${found.info.etag}"`, "content-length": String(found.info.bytes) } });
  }
}

/** Ends with an error when less comes than was announced, so that nothing is stored. */
async function* whole(content: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const part of content) {
    bytes += part.length;
    yield part;
  }
  if (bytes !== length) throw badRequest(`The content has ${bytes} bytes of ${length}.`, { reason: "object.length" });
}
