import { Hono } from "hono/tiny";
import { system } from "#core/actor";
import { systemClock, type Clock } from "#core/clock";
import type { Config } from "#core/config";
import { enter, type Ambient } from "#core/context";
import { noImages, type Images } from "#core/datastore/image";
import { read, type Database } from "#core/db/index";
import { sendOwn, type Publisher } from "#core/db/outbox";
import { AppError, badRequest, describe } from "#core/error";
import type { Doorbell } from "#core/guest/client";
import { isUuid, systemRandom, type Random } from "#core/id";
import { log } from "#core/log";
import type { Seal } from "#core/seal";
import type { SecretStore } from "#core/secret/store";
import { sql } from "drizzle-orm";
import { keepToRules } from "#functions/api/access-rules";
import { readBody } from "#functions/api/body";
import type { Objects, UserActor } from "#functions/api/call";
import { answerOf, challenge, unauthenticated, type Answer } from "#functions/api/errors";
import { handlers } from "#functions/api/handlers";
import { unknownPath } from "#functions/api/instances";
import { Links, originOf } from "#functions/api/links";
import { openapi } from "#functions/api/openapi/index";
import { originOf as wayOf } from "#functions/api/origin";
import { allow } from "#functions/api/policy";
import { RateLimiter } from "#functions/api/rate";
import { decode, match, type Match } from "#functions/api/router";
import { versionDetail, versionList } from "#functions/api/versions";

export interface ApiDeps {
  /** Connected as role coffer_app. */
  db: Database;
  verifier: { verify(token: string): Promise<UserActor | undefined>; authUrl: string };
  publisher: Publisher;
  doorbell: Doorbell;
  /** Keeps what is given in confidence from whoever reads the state database. */
  seal: Seal;
  /** Where projects keep certificates; absent where there is none. */
  secrets?: SecretStore;
  config: Config;
  /** Where guest images are looked up; absent: nowhere. */
  images?: Images;
  clock?: Clock;
  random?: Random;
  /** Whether the main job can be done; default: the state database answers. */
  healthy?: () => Promise<boolean>;
  /** Scheme and host to show in links, if not those of the request. */
  publicEndpoint?: string;
  /** The object store of this installation; absent where there is none. */
  objects?: Objects;
  /** Why a path cannot carry a name, where something in front of us changes paths. Absent: any name. */
  carries?: (name: string) => string | undefined;
}

/** The API, the same for Lambda and for the local server. One place decides what a path means: the route table. */
export function createApp(deps: ApiDeps): Hono {
  const { clock = systemClock, random = systemRandom, config, publicEndpoint } = deps;
  const rates = new RateLimiter(config.COFFER_HTTP_RATE_PER_MINUTE, clock);
  // One route for all: the small preset leaves out two routers that would do nothing here, 6 KB of the bundle.
  const app = new Hono();
  app.all("*", (c) => serve(c.req.raw, c.env));
  return app;

  async function serve(request: Request, env: unknown): Promise<Response> {
    const started = clock.now();
    const requestId = requestIdOf(request, random);
    const [, head = "", ...rest] = new URL(request.url).pathname.split("/");
    const seen: { route: string } = { route: "unmatched" };
    let answer: Answer;
    try {
      answer = head === "v1.0" ? await versioned(request, rest, { requestId, origin: wayOf(request, env) }, seen) : await unversioned(request, head, rest, seen);
    } catch (error) {
      answer = answerOf(error, random);
    }
    const ms = clock.now().getTime() - started.getTime();
    log.info("request", { request: requestId, method: request.method, route: seen.route, status: answer.status, ms });
    return respond(answer, {
      ...(head === "v1.0" && { "x-openstack-request-id": requestId }),
      ...(answer.status === 401 && challenge(deps.verifier.authUrl)),
    });
  }

  async function unversioned(request: Request, head: string, rest: string[], seen: { route: string }): Promise<Answer> {
    if (head === "" && rest.length === 0) {
      seen.route = "/";
      return { status: 200, body: versionList(originOf(request, publicEndpoint)) };
    }
    if (head === "healthcheck" && rest.length === 0 && request.method === "GET") {
      seen.route = "/healthcheck";
      const well = await (deps.healthy ?? databaseAnswers)();
      return { status: well ? 200 : 503, body: well ? "OK" : "UNAVAILABLE", headers: { "content-type": "text/plain; charset=UTF-8" } };
    }
    if (head === "openapi.json" && rest.length === 0 && request.method === "GET") {
      seen.route = "/openapi.json";
      return { status: 200, body: openapi(originOf(request, publicEndpoint)) };
    }
    throw unknownPath();
  }

  async function databaseAnswers(): Promise<boolean> {
    try {
      await enter({ db: deps.db, actor: system("healthcheck"), clock, random }, () => read((tx) => tx.execute(sql`select 1`)));
      return true;
    } catch (error) {
      log.warn("healthcheck failed", { error: describe(error) });
      return false;
    }
  }

  async function versioned(request: Request, path: string[], came: Pick<Ambient, "requestId" | "origin">, seen: { route: string }): Promise<Answer> {
    const [project = "", ...segments] = path;
    if (project === "" && segments.length === 0 && request.method === "GET") {
      seen.route = "/v1.0";
      return { status: 200, body: versionDetail(originOf(request, publicEndpoint)) };
    }
    const token = request.headers.get("x-auth-token");
    const actor = token ? await deps.verifier.verify(token) : undefined;
    if (!actor) return unauthenticated;
    keepToRules(actor, request);
    if (decode(project) !== actor.projectId) throw new AppError("forbidden", "The project in the path is not the token's.", { reason: "project.other" });
    // Contract §0.1: a project with nothing behind it is refused, not unknown.
    if (segments.length === 0) throw new AppError("forbidden", "The path names a project and nothing in it.", { reason: "project.alone" });
    return enter({ db: deps.db, actor, ...came, clock, random }, async () => {
      const limited = await rates.take(actor.projectId, request.method);
      if (limited) return limited;
      const found = match(request.method, segments);
      if (!found) throw unknownPath();
      seen.route = found.key;
      allow(actor, found.key, found.route);
      return answerTo(request, found, actor);
    });
  }

  /** Inside the request's context: the handler, then the outbox. */
  async function answerTo(request: Request, { key, route, params }: Match, actor: UserActor): Promise<Answer> {
    try {
      const handler = handlers[key];
      if (!handler) throw new AppError("notImplemented", `${key} is not available in this installation.`, { reason: "not_implemented" });
      const query = new URL(request.url).searchParams;
      if ([...query].flat().some((text) => text.includes("\0"))) throw badRequest("The query contains a NUL character.", { reason: "query.nul" });
      const body = await handler({
        actor,
        params: Object.fromEntries(Object.entries(params).map(([name, value]) => [name, decode(value)])),
        query,
        body: await bodyOf(request, key, route),
        config,
        reach: { doorbell: deps.doorbell, waitMs: config.COFFER_GUEST_WAIT_MS },
        images: deps.images ?? noImages,
        ...(deps.secrets && { secrets: deps.secrets }),
        token: request.headers.get("x-auth-token") ?? "",
        links: new Links(request, actor.projectId, publicEndpoint),
        now: clock.now(),
        rates,
        seal: deps.seal,
        ...(deps.objects && { objects: deps.objects }),
        carries: deps.carries ?? (() => undefined),
      });
      return { status: route.status, ...(body !== undefined && { body }) };
    } catch (error) {
      return answerOf(error, random);
    } finally {
      await sendOwn(deps.publisher).catch((error: unknown) => {
        // What was not sent stays in the outbox, and the sweep sends it.
        log.warn("outbox not sent", { error: describe(error) });
      });
    }
  }
}

async function bodyOf(request: Request, key: Match["key"], route: Match["route"]): Promise<unknown> {
  if (key.startsWith("GET ") || key.startsWith("DELETE ")) return undefined;
  const body = await readBody(request);
  if (body === undefined && route.body !== "optional") {
    throw badRequest("The request needs a JSON body with Content-Type: application/json.", { reason: "body.missing" });
  }
  return body;
}

/** A caller's own id, if it is one, so that a request can be followed through several services. */
function requestIdOf(request: Request, random: Random): string {
  const given = request.headers.get("x-openstack-request-id") ?? "";
  return given.startsWith("req-") && isUuid(given.slice(4)) ? given : `req-${random.uuid()}`;
}

function respond({ status, body, headers }: Answer, extra: Record<string, string>): Response {
  const text = body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body);
  return new Response(text, {
    status,
    headers: { "content-type": "application/json", ...(text === null && status !== 204 && { "content-length": "0" }), ...extra, ...headers },
  });
}
