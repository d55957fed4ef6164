import { afterAll, afterEach, beforeAll, describe as group, expect, test, vi } from "vitest";
import { Database } from "#core/db/index";
import { AppError } from "#core/error";
import { like, nobody, startApi, type Api } from "#test/api/rig";
import { movableClock } from "#test/support/clock";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterEach(() => {
  vi.restoreAllMocks();
});
afterAll(() => api.close());

const notFound = { itemNotFound: { code: 404, message: "The resource could not be found." } };

test("the version list needs no token, takes any method and carries no request id", async () => {
  for (const method of ["GET", "POST", "DELETE"]) {
    const reply = await api.ask(undefined, `${method} /`, { headers: { host: "cloud:8779" } });
    expect([reply.status, reply.json]).toEqual([
      200,
      { versions: [{ id: "v1.0", status: "CURRENT", updated: "2012-08-01T00:00:00Z", links: [{ rel: "self", href: "http://cloud:8779/v1.0/" }] }] },
    ]);
    expect(reply.headers.get("x-openstack-request-id")).toBeNull();
  }
  for (const path of ["/v1.0", "/v1.0/"]) expect((await api.ask(undefined, `GET ${path}`)).json).toMatchObject({ version: { id: "v1.0" } });
});

test("the healthcheck says OK while the state database answers", async () => {
  const reply = await api.ask(undefined, "GET /healthcheck");
  expect([reply.status, reply.text]).toEqual([200, "OK"]);
});

test("without a good token the answer is Keystone's 401", async () => {
  for (const headers of [{}, { "x-auth-token": "stale" }]) {
    const reply = await api.ask(undefined, "GET /v1.0/p1/instances", { headers });
    expect([reply.status, reply.json, reply.headers.get("www-authenticate")]).toEqual([
      401,
      { error: { code: 401, title: "Unauthorized", message: "The request you have made requires authentication." } },
      'Keystone uri="http://identity/v3"',
    ]);
  }
});

test("the project in the path must be the token's, also for admins", async () => {
  for (const line of ["GET /v1.0/p2/instances", "GET /v1.0/P1/instances", "GET /v1.0/p1"]) {
    const reply = await api.ask("member", line);
    expect([reply.status, Object.keys(reply.json)]).toEqual([403, ["forbidden"]]);
  }
  expect((await api.ask("admin", "GET /v1.0/p1/instances")).status).toBe(403);
});

test.each(["GET /nowhere", "GET /instances/", "GET /", "GET //instances", "HEAD /instances", "OPTIONS /instances", "POST /flavors", "PUT /instances", "GET /instances.json", "GET /volume-types"])(
  "%s is a 404, never a 405",
  async (line) => {
    const reply = await api.ask("member", line);
    expect(reply.status).toBe(404);
    if (!line.startsWith("HEAD")) expect(reply.json).toEqual(notFound);
  },
);

test("outside of /v1.0 there is nothing else", async () => {
  for (const path of ["/v2.0/p1/instances", "/healthcheck/x", "/x"]) expect((await api.ask(undefined, `GET ${path}`)).status).toBe(404);
});

test.each(["/instances/%00", "/instances/%FF", "/instances/%E0%A4", "/instances/%zz", "/instances?marker=%00"])("%s is a 400", async (path) => {
  expect((await api.ask("member", `GET ${path}`)).status).toBe(400);
});

test("every reply is application/json and carries the request id, the caller's own if it is one", async () => {
  const own = `req-${nobody}`;
  const adopted = await api.ask("member", "GET /instances", { headers: { "x-openstack-request-id": own } });
  expect(adopted.headers.get("x-openstack-request-id")).toBe(own);
  for (const [line, given] of [["GET /nowhere", "req-1"], ["GET /instances", "x".repeat(500)]] as const) {
    const reply = await api.ask("member", line, { headers: { "x-openstack-request-id": given } });
    expect(reply.headers.get("x-openstack-request-id")).toMatch(/^req-[0-9a-f-]{36}$/);
    expect(reply.headers.get("content-type")).toBe("application/json");
  }
});

test("a reader may look and not touch", async () => {
  const id = await api.active();
  expect((await api.ask("reader", `GET /instances/${id}`)).status).toBe(200);
  for (const line of ["POST /instances", `PUT /instances/${id}`, `DELETE /instances/${id}`, `POST /instances/${id}/action`, `POST /instances/${id}/users`]) {
    const reply = await api.ask("reader", line, { body: {} });
    expect([reply.status, reply.text]).toEqual([403, like(/forbidden.*reader/)]);
  }
});

group("bodies", () => {
  const json = { "content-type": "application/json; charset=utf-8" };
  test.each<[string, string | Uint8Array | undefined, Record<string, string>, number]>([
    ["no body", undefined, json, 400],
    ["an empty body", "", json, 400],
    ["no content type", new TextEncoder().encode('{"instance":{}}'), {}, 400],
    ["plain text", "hello", { "content-type": "text/plain" }, 415],
    ["malformed JSON", "{", json, 400],
    ["no UTF-8", new Uint8Array([0x22, 0xff, 0x22]), json, 400],
    ["a list", "[]", json, 400],
    ["null", "null", json, 400],
    ["a NUL", '{"instance":{"name":"a\\u0000b"}}', json, 400],
    ["half a character", '{"instance":{"name":"a\\ud800b"}}', json, 400],
    ["a deep nest", "[".repeat(400_000) + "]".repeat(400_000), json, 400],
    ["2 MiB", `"${"x".repeat(2 << 20)}"`, json, 413],
    ["2 MiB that are announced", "{}", { ...json, "content-length": String(2 << 20) }, 413],
  ])("%s is refused in the envelope", async (_, raw, headers, status) => {
    const reply = await api.ask("member", "POST /instances", { headers, ...(raw !== undefined && { raw }) });
    expect(reply.status).toBe(status);
    expect(Object.values(reply.json)).toEqual([expect.objectContaining({ code: status })]);
  });
});

test("one line is logged per request, without token, query or body", async () => {
  api.lines.length = 0;
  const password = "very-secret";
  await api.ask("member", "POST /instances?hint=private", api.wish({ name: "hidden-name", users: [{ name: "al", password }] }));
  const lines = api.lines.filter(({ message }) => message === "request");
  expect(lines).toEqual([expect.objectContaining({ method: "POST", route: "POST /instances", status: 200, request: like(/^req-/) })]);
  const text = JSON.stringify(api.lines);
  for (const hidden of [password, "hidden-name", "private", '"member"']) expect(text).not.toContain(hidden);
});

test("an unexpected error is a 500 with a number that is in the log, and says nothing else", async () => {
  vi.spyOn(api.db.app, "look").mockRejectedValue(new Error("select secret_column from hell"));
  api.lines.length = 0;
  const reply = await api.ask("member", "GET /instances");
  expect([reply.status, reply.json]).toEqual([500, { instanceFault: { code: 500, message: like(/incident [0-9a-f-]{36}/) } }]);
  const incident = /incident ([0-9a-f-]{36})/.exec(reply.text)?.[1];
  expect(api.lines).toContainEqual(expect.objectContaining({ message: "request failed", incident }));
  expect(reply.text).not.toContain("secret_column");
});

test("a publisher that fails changes nothing for the caller, and the message stays in the outbox", async () => {
  const broken = await startApi({ deps: { publisher: { publish: () => Promise.reject(new Error("no queue")) } } });
  const reply = await broken.ask("member", "POST /instances", broken.wish());
  const [unsent] = await broken.db.owner`select count(*)::int as count from outbox where sent_at is null`;
  expect([reply.status, unsent?.count]).toEqual([200, 1]);
  expect(broken.lines).toContainEqual(expect.objectContaining({ message: "outbox not sent", error: "no queue" }));
  await broken.close();
});

test("without its database the API answers 503 with Retry-After, and the healthcheck as well", async () => {
  const db = new Database("postgres://x@127.0.0.1:1/x", { max: 1, prepare: false });
  const dark = await startApi({ deps: { db } });
  const reply = await dark.ask("member", "GET /instances");
  expect([reply.status, reply.json, reply.headers.get("retry-after")]).toEqual([
    503,
    { serviceUnavailable: { code: 503, message: like(/cannot be reached/) } },
    "5",
  ]);
  expect((await dark.ask("member", "POST /instances", dark.wish())).status).toBe(503);
  expect((await dark.ask(undefined, "GET /healthcheck")).status).toBe(503);
  await db.close();
  await dark.close();
});

test("without identity the API answers 503", async () => {
  const verify = () => Promise.reject(new AppError("serviceUnavailable", "Keystone does not answer."));
  const dark = await startApi({ deps: { verifier: { verify, authUrl: "x" } } });
  expect((await dark.ask("member", "GET /instances")).status).toBe(503);
  await dark.close();
});

test("requests beyond the rate are a 413 with Retry-After, per project and method, PATCH excepted", async () => {
  const clock = movableClock();
  const strict = await startApi({ settings: { COFFER_HTTP_RATE_PER_MINUTE: "3" }, deps: { clock } });
  const get = () => strict.ask("member", "GET /flavors");
  expect([await get(), await get(), await get()].map(({ status }) => status)).toEqual([200, 200, 200]);
  const refused = await get();
  expect([refused.status, refused.json, refused.headers.get("retry-after")]).toEqual([
    413,
    { overLimit: { code: 413, message: "This request was rate-limited.", details: like(/3 GET requests/), retryAfter: "20" } },
    "20",
  ]);
  expect((await strict.ask("other", "GET /flavors")).status).toBe(200);
  const patch = () => strict.ask("member", `PATCH /instances/${nobody}`, { body: { instance: { name: "x1" } } });
  for (let n = 0; n < 5; n++) expect((await patch()).status).toBe(404);
  clock.advance(20_000);
  expect((await get()).status).toBe(200);
  expect((await get()).status).toBe(413);
  await strict.close();
});
