import fc from "fast-check";
import { request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe as group, expect, test } from "vitest";
import { routes, type RouteKey } from "#functions/api/routes";
import { listen, type Listening } from "#functions/node/listen";
import { madeBackup } from "#test/api/backup-rig";
import { conform } from "#test/api/conforms";
import { picture } from "#test/api/fuzz/database";
import { requestsTo, type Known, type Sent } from "#test/api/fuzz/requests";
import { startApi, type Api } from "#test/api/rig";

/** Requests per route, and where they begin: the same in every run unless it is told. */
const RUNS = Number(process.env.COFFER_FUZZ_RUNS ?? 2);
const SEED = Number(process.env.COFFER_FUZZ_SEED ?? 20_261_125);
/** Milliseconds after which a request counts as hanging: more than a guest is waited for. */
const HANG = 20_000;

let api: Api;
let server: Listening;
let known: Known;
let before: Awaited<ReturnType<typeof picture>>;
beforeAll(async () => {
  console.log(`fuzzing: COFFER_FUZZ_RUNS=${RUNS} COFFER_FUZZ_SEED=${SEED}`);
  api = await startApi();
  server = await listen({ port: 0, setting: "none", fetch: (request) => api.app.fetch(request) });
  const made = async (line: string, body: object) => Object.values((await api.ask("member", line, { body })).json)[0] as { id: string };
  const change = { databases: [{ name: "app" }], users: [{ name: "alice", password: "secret", databases: [{ name: "app" }] }] };
  known = {
    instance: await api.active(change),
    foreign: await api.active(change, "other"),
    group: (await made("POST /configurations", { configuration: { name: "tuned", values: { max_connections: 50 } } })).id,
    module: (await made("POST /modules", { module: { name: "m", module_type: "ping", contents: "bWVzc2FnZT1oaQ==" } })).id,
    backup: await madeBackup(api, await api.active()),
  };
  before = await picture(api.db.owner);
});
afterAll(async () => {
  await server.close();
  await api.close();
});

interface Reply {
  status: number;
  headers: Headers;
  text: string;
}

/** As it stands, over a real connection; rejects when no reply comes. Undefined = it cannot be said in HTTP. */
function send({ method, target, headers, body }: Sent): Promise<Reply | undefined> {
  // Node would send the body of a DELETE without its length, which the server takes for the next request.
  const framed = { ...headers, ...(body !== undefined && { "content-length": String(body.length) }) };
  return new Promise((done, fail) => {
    let request;
    try {
      request = httpRequest({ host: "127.0.0.1", port: server.port, method, path: target, headers: framed, agent: false, signal: AbortSignal.timeout(HANG) });
    } catch {
      return done(undefined);
    }
    request.on("error", fail);
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", fail);
      response.on("end", () => done({ status: response.statusCode ?? 0, headers: new Headers(response.headers as Record<string, string>), text: Buffer.concat(chunks).toString() }));
    });
    request.end(body === undefined ? undefined : Buffer.from(body, "latin1"));
  });
}

/** What the contract does all the same (§2.3): a name is changed even if what comes with it is refused. */
const renamed = (sent: Sent, tables: string[]) => /^(PUT|PATCH)$/.test(sent.method) && /\/instances\/[^/?]+(\?|$)/.test(sent.target) && tables.join() === "instance";

/** Reading asks a guest here, which leaves a job behind and brings a report (contract §1.4). */
const asks = ({ target, person }: Sent) => person === "admin" && /^[^?]*\/mgmt\/instances\/[^/?]+\/(diagnostics|hwinfo|rpc_ping)(\.json)?(\?|$)/.test(target);

/** Sends one request and throws for whatever no request may do. */
async function hold(sent: Sent): Promise<void> {
  const reply = await send(sent).catch((error: unknown) => {
    throw new Error(`no reply: ${String(error)}`);
  });
  if (!reply) return;
  await api.settled();
  const tables = await before.changed();
  await before.restore(tables);
  const said = `${reply.status} ${reply.text.slice(0, 500)}`;
  if (reply.status >= 500 && reply.status !== 501) throw new Error(`a failure of ours: ${said}`);
  const refused = reply.status >= 400;
  if (refused && tables.length > 0 && !renamed(sent, tables)) throw new Error(`refused, and changed ${tables.join(", ")}: ${said}`);
  if (!refused && tables.length > 0 && !asks(sent) && (sent.method === "GET" || sent.person === undefined || sent.person === "reader")) throw new Error(`changed ${tables.join(", ")} by who or what only reads: ${said}`);
  // Refused by the HTTP server before the API sees it: it has no envelope.
  if ((reply.status === 400 || reply.status === 431) && reply.headers.get("content-type") !== "application/json") return;
  conform(sent.method, new URL(sent.target.startsWith("/") ? `http://x${sent.target}` : sent.target).pathname, reply);
}

const check = (requests: fc.Arbitrary<Sent>, runs = RUNS) => fc.assert(fc.asyncProperty(requests, hold), { seed: SEED, numRuns: runs, endOnFailure: false, interruptAfterTimeLimit: 20_000 + runs * 2_000 });

group("whatever is sent to a route, it answers in its envelope, is no failure of ours, and changes nothing if it refuses", () => {
  test.each(Object.keys(routes) as RouteKey[])("%s", { timeout: 60_000 + RUNS * 5_000 }, async (key) => {
    await check(requestsTo(key, known));
  });
});

group("what is too much or not HTTP's is refused, and changes nothing", () => {
  const target = "/v1.0/p1/instances";
  const to = (sent: Partial<Sent>): Sent => ({ person: "member", method: "POST", target, headers: { "x-auth-token": "member", "content-type": "application/json", ...sent.headers }, body: undefined, ...sent });
  const name = (text: string) => JSON.stringify({ instance: { name: text, flavorRef: "1", volume: { size: 1 } } });
  test.each<[string, Sent]>([
    ["a body of 10 MB", to({ body: name("x".repeat(10_000_000)) })],
    ["a body of 10 MB for a route that takes none", to({ method: "DELETE", target: `${target}/00000000-0000-0000-0000-000000000000`, body: "x".repeat(10_000_000) })],
    ["a million levels", to({ body: "[".repeat(1_000_000) })],
    ["a query of 15 kB", to({ method: "GET", target: `${target}?marker=${"x".repeat(15_000)}` })],
    ["a header of 30 kB", to({ method: "GET", headers: { "x-auth-token": "x".repeat(30_000) } })],
    ["TRACE", to({ method: "TRACE", target })],
    ["a path of slashes", to({ method: "GET", target: "/".repeat(8000) })],
    ["an address for a path", to({ method: "POST", target: "http://elsewhere.example/v1.0/p2/instances", body: name("n") })],
  ])("%s", async (_, sent) => {
    await hold(sent);
    expect((await send(sent))?.status).toBeGreaterThanOrEqual(400);
    expect(await before.changed()).toEqual([]);
  });
});
