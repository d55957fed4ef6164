import { Hono, type Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Clock } from "#core/clock";
import type { Container, ObjectStore } from "#core/driver/objectstore";
import { bodyOf, bounded, tooLarge } from "#core/driver/stream";
import { AppError, badRequest, describe, notFound } from "#core/error";
import { log } from "#core/log";
import { listing } from "#functions/objectstore/listing";
import { deletion, infoHeaders, metaOf, rangeOf } from "#functions/objectstore/headers";

export interface ObjectApi {
  store: ObjectStore;
  verifier: { verify(token: string): Promise<{ projectId: string; roles: readonly string[] } | undefined> };
  /** Root, unversioned: accounts live below `<root>/v1/AUTH_<project>`. */
  publicUrl: string;
  clock: Clock;
}

/** Largest object that one request may bring; Swift's own limit. */
const LARGEST_BYTES = 5 * 1024 ** 3;
/** A client that neither sends nor takes a piece for so long is given up. */
const PATIENCE_MS = 15 * 60_000;

const statuses: Partial<Record<AppError["code"], ContentfulStatusCode>> = {
  badRequest: 400,
  unauthorized: 401,
  forbidden: 403,
  itemNotFound: 404,
  overLimit: 413,
  unprocessableEntity: 422,
};

/**
 * The part of Swift's API that clients of logs and backups need: containers are listed, objects are written,
 * read and removed, by a token of their own project. A container comes into being with its first object.
 */
export function createObjectApi({ store, verifier, publicUrl, clock }: ObjectApi): Hono {
  const root = `${new URL(publicUrl).pathname.replace(/\/$/, "")}/v1/`;
  const app = new Hono();
  app.all("*", (c) => serve(c));
  app.onError((error, c) => {
    const status = error instanceof AppError ? statuses[error.code] : undefined;
    if (!status) log.error("object request failed", { error: describe(error) });
    return c.text(status ? error.message : "Internal error.", status ?? 500);
  });
  return app;

  async function serve(c: Context): Promise<Response> {
    const url = new URL(c.req.url);
    const [account = "", container = "", ...rest] = url.pathname.startsWith(root) ? url.pathname.slice(root.length).split("/").map(decoded) : [];
    const projectId = await allowed(c, account);
    const at: Container = { projectId, name: container };
    const name = rest.join("/");
    if (container === "" || container.includes("/")) throw notFound("The account itself is not offered here; name a container.");
    const call = { signal: AbortSignal.timeout(PATIENCE_MS) };
    if (name === "") {
      if (c.req.method !== "GET" && c.req.method !== "HEAD") throw notFound("A container is made by storing an object in it, and not removed.");
      return listing(store, at, url.searchParams, call, c.req.method === "HEAD");
    }
    switch (c.req.method) {
      case "HEAD": {
        const info = await store.head(at, name, call);
        if (!info) throw unknownObject();
        return new Response(null, { status: 200, headers: { ...infoHeaders(info), "content-length": String(info.bytes) } });
      }
      case "GET":
        return read(c, at, name, call);
      case "PUT":
        return write(c, at, name, call);
      case "DELETE": {
        if (!(await store.head(at, name, call))) throw unknownObject();
        await store.remove(at, name, call);
        return new Response(null, { status: 204 });
      }
      default:
        throw notFound(`${c.req.method} is not offered here.`);
    }
  }

  /** The project whose account this is: that of the token, or nobody gets in. */
  async function allowed(c: Context, account: string): Promise<string> {
    const token = c.req.header("x-auth-token");
    const actor = token ? await verifier.verify(token) : undefined;
    if (!actor) throw new AppError("unauthorized", "A token of the project is required.");
    if (account !== `AUTH_${actor.projectId}`) throw new AppError("forbidden", "The account is not that of the token's project.");
    const writes = c.req.method !== "GET" && c.req.method !== "HEAD";
    if (!actor.roles.some((role) => !writes || role.toLowerCase() !== "reader")) throw new AppError("forbidden", "A reader may only read.");
    return actor.projectId;
  }

  async function read(c: Context, at: Container, name: string, call: { signal: AbortSignal }): Promise<Response> {
    const info = await store.head(at, name, call);
    if (!info) throw unknownObject();
    const range = rangeOf(c.req.header("range"), info.bytes);
    if (range === "outside") return new Response(null, { status: 416, headers: { "content-range": `bytes */${info.bytes}` } });
    const found = await store.get(at, name, call, range);
    if (!found) throw unknownObject();
    const bytes = range ? range.to - range.from + 1 : found.info.bytes;
    return new Response(bodyOf(found.content), {
      status: range ? 206 : 200,
      headers: {
        ...infoHeaders(found.info),
        "content-length": String(bytes),
        ...(range && { "content-range": `bytes ${range.from}-${range.to}/${found.info.bytes}` }),
      },
    });
  }

  async function write(c: Context, at: Container, name: string, call: { signal: AbortSignal }): Promise<Response> {
    const { body, headers } = c.req.raw;
    if (Number(headers.get("content-length") ?? 0) > LARGEST_BYTES) throw tooLarge(LARGEST_BYTES);
    const etag = headers.get("etag")?.replaceAll('"', "").toLowerCase();
    const expiresAt = deletion(headers, clock.now());
    const meta = metaOf(headers);
    const contentType = headers.get("content-type");
    const stored = await store.put(at, name, bounded(body, LARGEST_BYTES), { meta, ...(contentType !== null && { contentType }), ...(expiresAt && { expiresAt }) }, call);
    if (etag !== undefined && etag !== stored.etag) {
      await store.remove(at, name, call);
      throw new AppError("unprocessableEntity", "The content is not what the ETag says; the object was removed.");
    }
    return new Response(null, { status: 201, headers: { etag: stored.etag, "last-modified": new Date(stored.modifiedUs / 1000).toUTCString(), "content-length": "0" } });
  }
}

const unknownObject = () => notFound("There is no such object.");
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw badRequest("The path is not valid percent-encoded UTF-8.", { cause });
  }
}
