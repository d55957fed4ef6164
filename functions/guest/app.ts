import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import * as z from "zod";
import { system } from "#core/actor";
import { grant, type Granting } from "#core/backup/grant";
import { systemClock, type Clock } from "#core/clock";
import { enter, now, within } from "#core/context";
import type { Database } from "#core/db/index";
import type { ObjectStore } from "#core/driver/objectstore";
import { AppError, describe } from "#core/error";
import { connected } from "#core/guest/doorbell";
import { discardLog, storeLog } from "#core/guest/logs";
import { CertificateRequest, EnrolRequest, GrantRequest, LOG_UPLOAD_BYTES, LogObject, RotateRequest, SyncRequest, type EnrolReply, type GrantReply, type SyncReply } from "#core/guest/protocol";
import { authenticate, certified, enrol, pending, report, rotate, type Caller } from "#core/guest/server";
import { log } from "#core/log";
import { issue, type Authority } from "#core/pki";
import type { Seal } from "#core/seal";
import { createGuestObjects } from "#functions/guest/objects";
import type { HeldRequests } from "#functions/guest/hold";

export interface GuestDeps {
  /** Connected as `coffer_system`. */
  db: Database;
  authority: Authority;
  /** Opens what jobs are given in confidence. */
  seal: Seal;
  clock?: Clock;
  /** Where the server can hold a request; absent where it cannot. */
  held?: HeldRequests;
  /** Something was reported that a waiting workflow may want to see. */
  wake(instanceId: string): void;
  pollSeconds: number;
  rotateAfterSeconds: number;
  /** The doorbell that guests may open, and their pace once they have; absent where there is none. */
  doorbell?: { url: string; pingSeconds: number; pollSeconds: number };
  /** What grants for those say; absent where there is no object store. */
  granting?: Pick<Granting, "installation" | "url">;
  /** Where guests' logs go; absent where there is no object store. */
  objects?: ObjectStore;
  /** With it, objects are served to whoever holds a grant of this key (`grantKey`). */
  grantKey?: Buffer;
}

/** A report with a full inventory of a busy server stays far below this. */
const MAX_BODY = 4 * 1024 * 1024;

const statuses: Partial<Record<AppError["code"], ContentfulStatusCode>> = {
  badRequest: 400,
  unauthorized: 401,
  forbidden: 403,
  conflict: 409,
  overLimit: 413,
  notImplemented: 501,
  serviceUnavailable: 503,
};

/** What agents call, and nothing else: its own endpoint with its own authentication. */
export function createGuestApp(deps: GuestDeps): Hono {
  const app = new Hono().basePath("/guest/v1");
  // Ahead of what bounds and looks at other requests: an object is larger, and brings its own permission.
  if (deps.objects && deps.grantKey) app.route("/", createGuestObjects({ store: deps.objects, key: deps.grantKey, clock: deps.clock ?? systemClock }));
  app.use(bodyLimit({ maxSize: MAX_BODY, onError: (c) => c.json({ error: "The request is too large." }, 413) }));
  app.use((_, next) => enter({ db: deps.db, actor: system("guest"), clock: deps.clock ?? systemClock }, next));

  app.post("/enrol", async (c) => {
    const request = parse(EnrolRequest, await c.req.text());
    const { instanceId, address } = await enrol(request);
    const certificate = await issue(deps.authority, Buffer.from(request.tlsPublicKey, "base64"), [address], now());
    log.info("guest enrolled", { instance: instanceId });
    return c.json({ certificate, ca: deps.authority.certificate } satisfies EnrolReply);
  });

  app.post("/rotate", signed(RotateRequest, async (_, caller, { publicKey }) => {
    await rotate(caller, publicKey);
    return {};
  }));

  app.post("/certificate", signed(CertificateRequest, async (_, caller, { tlsPublicKey }) => {
    const address = await certified(caller, tlsPublicKey);
    const certificate = await issue(deps.authority, Buffer.from(tlsPublicKey, "base64"), [address], now());
    log.info("certificate renewed", { instance: caller.instanceId });
    return { certificate, ca: deps.authority.certificate } satisfies EnrolReply;
  }));

  app.post("/sync", signed(SyncRequest, async (c, caller, { report: seen, results, protocol, holdSeconds }) => {
    const listening = deps.held?.listen(caller.instanceId, c.req.raw.signal);
    try {
      const doorbell = deps.doorbell && { ...deps.doorbell, connected: await connected(caller) };
      const silenceSeconds = doorbell?.connected ? doorbell.pingSeconds : deps.pollSeconds;
      const changed = await report(caller, { report: seen, results, protocol, silenceSeconds });
      if (changed) deps.wake(caller.instanceId);
      let jobs = await pending(caller, deps.seal);
      // Results are acknowledged without delay: the guest must not repeat them meanwhile.
      if (jobs.length === 0 && results.length === 0 && listening && holdSeconds > 0) {
        await listening.rung(holdSeconds * 1000);
        jobs = await pending(caller, deps.seal);
      }
      return {
        jobs,
        acknowledged: results.map(({ id }) => id),
        pollSeconds: deps.pollSeconds,
        rotateAfterSeconds: deps.rotateAfterSeconds,
        ...(doorbell && { doorbell }),
      } satisfies SyncReply;
    } finally {
      listening?.close();
    }
  }));

  app.post("/grant", signed(GrantRequest, async (_, caller, request) => {
    const { granting, grantKey, seal } = deps;
    if (!granting || !grantKey) throw new AppError("notImplemented", "There is no object store here.", { reason: "grant.no_store" });
    return grant(caller, request, { ...granting, grantKey, seal }) satisfies Promise<GrantReply>;
  }));

  app.post("/logs/:job/:object", async (c) => {
    const body = new Uint8Array(await c.req.arrayBuffer());
    const caller = await authenticate(new URL(c.req.url).pathname, (name) => c.req.header(name), body);
    if (!deps.objects) throw new AppError("notImplemented", "There is no object store here.", { reason: "log.no_store" });
    const job = parsed(z.uuid(), c.req.param("job"), "job");
    const object = c.req.param("object");
    if (body.length > LOG_UPLOAD_BYTES) throw new AppError("badRequest", `A part of a log may have ${LOG_UPLOAD_BYTES} bytes.`, { reason: "log.size" });
    if (object === "discard") await discardLog(deps.objects, caller, job);
    else await storeLog(deps.objects, caller, job, parsed(LogObject, object, "object"), body);
    return c.json({});
  });

  app.onError((error, c) => {
    const known = error instanceof AppError ? statuses[error.code] : undefined;
    if (!known) log.error("guest request failed", { path: c.req.path, error: describe(error) });
    else log.warn("guest request refused", { path: c.req.path, reason: (error as AppError).reason });
    return c.json({ error: known ? error.message : "Internal error." }, known ?? 500);
  });
  return app;
}

/** A handler behind the guest's signature; the instance comes from the credential only. */
function signed<S extends z.ZodType>(schema: S, handle: (c: Context, caller: Caller, body: z.output<S>) => Promise<object>) {
  return async (c: Context) => {
    const body = await c.req.text();
    const caller = await authenticate(new URL(c.req.url).pathname, (name) => c.req.header(name), body);
    return within({ instanceId: caller.instanceId }, async () => c.json(await handle(c, caller, parse(schema, body))));
  };
}

function parse<S extends z.ZodType>(schema: S, text: string): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(text);
    storable(value);
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError("badRequest", "The body is not JSON.", { reason: "guest.body", cause });
  }
  return parsed(schema, value, "body");
}

function parsed<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const found = schema.safeParse(value);
  if (found.success) return found.data;
  const [issue] = found.error.issues;
  throw new AppError("badRequest", `${issue?.path.join(".") || what}: ${issue?.message ?? "invalid"}`, { reason: "guest.body" });
}

/** A report nests four deep; what a job answers may go a little deeper. */
const MAX_DEPTH = 16;

/** PostgreSQL can hold neither a NUL nor half a surrogate pair in a text, nor any depth in JSON. */
function storable(value: unknown, path: string[] = []): void {
  const refuse = (rule: string) => new AppError("badRequest", `${path.join(".") || "body"}: ${rule}`, { reason: "guest.body" });
  if (typeof value === "string" && /[\0\p{Surrogate}]/u.test(value)) throw refuse("holds a NUL character or half a surrogate pair");
  if (typeof value !== "object" || value === null) return;
  if (path.length >= MAX_DEPTH) throw refuse(`is nested deeper than ${MAX_DEPTH}`);
  for (const [name, inner] of Object.entries(value)) {
    storable(name, path);
    storable(inner, [...path, name]);
  }
}
