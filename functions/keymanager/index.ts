import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import * as z from "zod";
import type { Actor } from "#core/actor";
import type { Clock } from "#core/clock";
import { enter } from "#core/context";
import type { Database } from "#core/db/index";
import { AppError, badRequest, describe, type Code } from "#core/error";
import { systemRandom } from "#core/id";
import { log } from "#core/log";
import { addConsumer, consumersOf, create, get, list, remove, removeConsumer, Vault } from "#functions/keymanager/store";
import { secretView } from "#functions/keymanager/view";

export interface KeyManagerOptions {
  /** Connected as `coffer_app`. */
  db: Database;
  /** Whose token it is; undefined for none. */
  verify(token: string): Promise<Extract<Actor, { kind: "user" }> | undefined>;
  /** Root, unversioned, as the catalogue tells it. */
  publicUrl: string;
  /** The home's key. */
  rootKey: Buffer;
  clock: Clock;
}

/** A secret of at most this, base64 and all. Barbican's limit is 20 KB of payload. */
const MAX_BODY_BYTES = 128 * 1024;
const MAX_PAYLOAD_BYTES = 64 * 1024;

const statuses: Partial<Record<Code, ContentfulStatusCode>> = { badRequest: 400, unauthorized: 401, forbidden: 403, itemNotFound: 404, serviceUnavailable: 503 };

// PostgreSQL's text cannot hold a NUL.
const text = z.string().max(255).regex(/^[^\0]*$/, "must not contain a NUL character");
const Store = z.object({
  name: text.nullish(),
  secret_type: z.enum(["opaque", "symmetric", "public", "private", "certificate", "passphrase"]).default("opaque"),
  algorithm: text.nullish(),
  bit_length: z.int().min(1).max(2 ** 31 - 1).nullish(),
  mode: text.nullish(),
  expiration: z.string().nullish(),
  payload: z.string().min(1),
  payload_content_type: z.string(),
  payload_content_encoding: z.literal("base64").nullish(),
});
const ConsumerBody = z.object({ service: text.min(1), resource_type: text.min(1), resource_id: text.min(1) });
const Page = z.object({ limit: z.coerce.number().int().min(1).max(100).default(10), offset: z.coerce.number().int().min(0).default(0), name: text.optional() });

/** The part of Barbican's Key Manager API that keeps secrets; called with whole paths. */
export function createKeyManager(options: KeyManagerOptions): Hono {
  const root = options.publicUrl.replace(/\/+$/, "");
  const vault = new Vault(options.rootKey);
  // Clients ask for the root with and without a slash at its end.
  const app = new Hono({ strict: false }).basePath(new URL(root).pathname);
  app.onError((error, c) => {
    const status = error instanceof AppError ? (statuses[error.code] ?? 500) : 500;
    if (status === 500) log.error("key manager request failed", { path: c.req.path, error: describe(error) });
    return fault(c, status, status === 500 ? "An unexpected error prevented the server from fulfilling your request." : describe(error));
  });
  app.use(bodyLimit({ maxSize: MAX_BODY_BYTES, onError: (c) => fault(c, 413, `The request body is larger than ${MAX_BODY_BYTES} bytes.`) }));

  // Discovery needs no token.
  const version = { id: "v1", status: "CURRENT", min_version: "1.0", max_version: "1.1", links: [{ rel: "self", href: `${root}/v1/` }] };
  app.get("/", (c) => c.json({ versions: [version] }));
  app.get("/v1", (c) => c.json({ version }));

  app.use("/v1/*", async (c, next) => {
    const token = c.req.header("x-auth-token");
    const actor = token ? await options.verify(token) : undefined;
    if (!actor) throw new AppError("unauthorized", "The request you have made requires authentication.");
    const requestId = `req-${systemRandom.uuid()}`;
    await enter({ db: options.db, actor, clock: options.clock, requestId }, next);
    c.header("x-openstack-request-id", requestId);
  });

  app.post("/v1/secrets", async (c) => {
    const wish = await bodyOf(c, Store);
    const payload = payloadOf(wish);
    const made = await create(
      vault,
      {
        name: wish.name ?? null,
        secretType: wish.secret_type,
        algorithm: wish.algorithm ?? null,
        bitLength: wish.bit_length ?? null,
        mode: wish.mode ?? null,
        contentType: payload.type,
        expiresAt: expiryOf(wish.expiration, options.clock.now()),
      },
      payload.bytes,
    );
    return c.json({ secret_ref: `${root}/v1/secrets/${made.id}` }, 201);
  });

  app.get("/v1/secrets", async (c) => {
    const page = check(Page, c.req.query());
    const { rows, total } = await list({ limit: page.limit, offset: page.offset, ...(page.name !== undefined && { name: page.name }) });
    const link = (offset: number) => `${root}/v1/secrets?limit=${page.limit}&offset=${offset}`;
    return c.json({
      secrets: rows.map((row) => secretView(root, row)),
      total,
      ...(page.offset + rows.length < total && { next: link(page.offset + page.limit) }),
      ...(page.offset > 0 && { previous: link(Math.max(0, page.offset - page.limit)) }),
    });
  });

  app.get("/v1/secrets/:id", async (c) => {
    const row = await get(c.req.param("id"));
    return c.json({ ...secretView(root, row), consumers: await consumersOf(row.id) });
  });

  app.delete("/v1/secrets/:id", async (c) => {
    await remove(c.req.param("id"));
    return c.body(null, 204);
  });

  app.get("/v1/secrets/:id/payload", async (c) => {
    const row = await get(c.req.param("id"));
    const wanted = (c.req.header("accept") ?? "*/*").split(",").map((one) => one.split(";")[0]?.trim());
    if (!wanted.some((one) => one === "*/*" || one === row.contentType)) return fault(c, 406, `The secret is of type ${row.contentType}.`);
    return c.body(new Uint8Array(vault.open(row)), 200, { "content-type": row.contentType });
  });

  app.get("/v1/secrets/:id/consumers", async (c) => {
    const consumers = await consumersOf((await get(c.req.param("id"))).id);
    return c.json({ consumers, total: consumers.length });
  });

  app.post("/v1/secrets/:id/consumers", async (c) => {
    const row = await get(c.req.param("id"));
    await addConsumer(row, await bodyOf(c, ConsumerBody));
    return c.json({ ...secretView(root, row), consumers: await consumersOf(row.id) });
  });

  app.delete("/v1/secrets/:id/consumers", async (c) => {
    const row = await get(c.req.param("id"));
    await removeConsumer(row, await bodyOf(c, ConsumerBody));
    return c.json({ ...secretView(root, row), consumers: await consumersOf(row.id) });
  });

  app.all("*", (c) => fault(c, 404, `The key manager of this installation does not offer ${c.req.method} ${c.req.path}.`));
  return app;
}

const fault = (c: Context, code: ContentfulStatusCode, description: string) => c.json({ code, title: "Error", description }, code);

async function bodyOf<S extends z.ZodType>(c: Context, schema: S): Promise<z.output<S>> {
  const sent = await c.req.text();
  let value: unknown;
  try {
    value = JSON.parse(sent);
  } catch {
    // The parser's message quotes the text, which is a secret.
    throw badRequest("The request body is not JSON.");
  }
  return check(schema, value);
}

function check<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw badRequest(`${issue?.path.join(".") || "The request"}: ${issue?.message ?? "invalid"}`);
}

/** Text as it is, bytes in base64 (Key Manager API, "Secret payload"). */
function payloadOf({ payload, payload_content_type, payload_content_encoding: encoding }: z.output<typeof Store>): { type: string; bytes: Buffer } {
  const [type = ""] = payload_content_type.toLowerCase().split(";");
  if (type !== "text/plain" && type !== "application/octet-stream") throw badRequest("payload_content_type: must be text/plain or application/octet-stream");
  const isText = type === "text/plain";
  if (isText && encoding) throw badRequest("payload_content_encoding: text/plain has none");
  if (!isText && (!encoding || !/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(payload))) throw badRequest("payload: application/octet-stream must be given in base64, with payload_content_encoding base64");
  const bytes = Buffer.from(payload, isText ? "utf8" : "base64");
  if (bytes.length === 0 || bytes.length > MAX_PAYLOAD_BYTES) throw badRequest(`payload: must be 1 to ${MAX_PAYLOAD_BYTES} bytes`);
  return { type, bytes };
}

function expiryOf(given: string | null | undefined, now: Date): Date | null {
  if (!given) return null;
  // Without a zone it is UTC, as everywhere in OpenStack.
  const at = new Date(/(Z|[+-]\d\d:?\d\d)$/.test(given) ? given : `${given}Z`);
  if (Number.isNaN(at.getTime())) throw badRequest("expiration: must be an ISO 8601 time");
  if (at <= now) throw badRequest("expiration: is in the past");
  return at;
}
