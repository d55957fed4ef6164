import { afterAll, beforeAll, expect, test } from "vitest";
import { loginBody, passwords, startIdentity, type TestIdentity } from "#test/support/identity";

let identity: TestIdentity;
beforeAll(async () => {
  identity = await startIdentity();
});
afterAll(() => identity.close());

const post = (body: unknown) => identity.send("POST", "/v3/auth/tokens", { body });

test("discovery names v3 under the public address, with and without a slash at the end", async () => {
  for (const path of ["", "/"]) {
    const root = await identity.send("GET", path);
    expect(root.status).toBe(300);
    expect(root.body.versions.values).toMatchObject([{ id: "v3.14", status: "stable", links: [{ rel: "self", href: `${identity.url}/v3/` }] }]);
    const v3 = await identity.send("GET", `/v3${path}`);
    expect(v3.status).toBe(200);
    expect(v3.body.version.links).toEqual([{ rel: "self", href: `${identity.url}/v3/` }]);
  }
});

test("a login with a project gives a token that says who, where, as what, and where the services are", async () => {
  const { demo } = identity.seeded;
  const reply = await identity.login("demo", passwords.demo, "demo");
  expect(reply.status).toBe(201);
  expect(reply.headers.get("x-subject-token")).toMatch(/^[\w-]+\.[\w-]+$/);
  expect(reply.headers.get("x-openstack-request-id")).toMatch(/^req-[0-9a-f-]{36}$/);
  expect(demo.projectId).toMatch(/^[0-9a-f]{32}$/);
  const { token } = reply.body;
  expect(token).toMatchObject({
    methods: ["password"],
    user: { id: demo.userId, name: "demo", domain: { id: "default", name: "Default" }, password_expires_at: null },
    project: { id: demo.projectId, name: "demo", domain: { id: "default", name: "Default" } },
    roles: [{ name: "member" }],
    is_domain: false,
    issued_at: "2026-03-01T12:00:00.000000Z",
    expires_at: "2026-03-01T13:00:00.000000Z",
  });
  const [database, keystone] = ["database", "identity"].map((type) => token.catalog.find((entry) => entry.type === type));
  expect(database?.name).toBe("trove");
  expect(database?.endpoints.map((one) => one.interface)).toEqual(["public", "internal", "admin"]);
  expect(database?.endpoints[0]).toMatchObject({ url: identity.options.databaseUrl(demo.projectId), region: "RegionOne", region_id: "RegionOne" });
  expect(keystone?.endpoints[0]?.url).toBe(identity.url);
});

test("user and project may be given by id, the catalogue left out, the scope left out", async () => {
  const { demo } = identity.seeded;
  const user = { id: demo.userId, password: passwords.demo };
  const byId = { identity: { methods: ["password"], password: { user } }, scope: { project: { id: demo.projectId } } };
  const scoped = await identity.send("POST", "/v3/auth/tokens?nocatalog", { body: { auth: byId } });
  expect(scoped.body.token.project.name).toBe("demo");
  expect(scoped.body.token).not.toHaveProperty("catalog");
  for (const scope of [{}, { scope: "unscoped" }, { scope: { unscoped: {} } }]) {
    const reply = await post({ auth: { ...loginBody("demo", passwords.demo), ...scope } });
    expect(reply.status).toBe(201);
    for (const key of ["project", "roles", "catalog"]) expect(reply.body.token).not.toHaveProperty(key);
  }
});

test("a token made from a token keeps its end, its chain and how it began", async () => {
  const first = await identity.login("demo", passwords.demo);
  identity.clock.advance(600_000);
  const id = first.headers.get("x-subject-token");
  const rescoped = await post({
    auth: { identity: { methods: ["token"], token: { id } }, scope: { project: { name: "demo", domain: { name: "Default" } } } },
  });
  expect(rescoped.status).toBe(201);
  expect(rescoped.body.token.expires_at).toBe(first.body.token.expires_at);
  expect(rescoped.body.token.methods.sort()).toEqual(["password", "token"]);
  expect(rescoped.body.token.audit_ids).toHaveLength(2);
  expect(rescoped.body.token.audit_ids[1]).toBe(first.body.token.audit_ids[0]);
  const foreign = await post({ auth: { identity: { methods: ["token"], token: { id } }, scope: { project: { id: identity.seeded.alt.projectId } } } });
  expect(foreign.status).toBe(401);
});

test("a wrong password, an unknown user and an unknown domain get the same answer", async () => {
  const wrong = await identity.login("demo", "wrong", "demo");
  const unknown = await identity.login("nobody", "wrong", "demo");
  const domain = await post({ auth: { identity: { methods: ["password"], password: { user: { name: "demo", domain: { name: "x" }, password: passwords.demo } } } } });
  for (const reply of [wrong, unknown, domain]) {
    expect(reply.status).toBe(401);
    expect(reply.body).toEqual({ error: { code: 401, title: "Unauthorized", message: "The request you have made requires authentication." } });
    expect(reply.headers.get("www-authenticate")).toBe(`Keystone uri="${identity.url}"`);
    expect(reply.headers.get("vary")).toContain("X-Auth-Token");
  }
  expect((await identity.login("demo", passwords.demo, "demo")).status).toBe(201);
});

test("a project of others and one that does not exist are refused alike", async () => {
  const foreign = await identity.login("demo", passwords.demo, "alt");
  const absent = await identity.login("demo", passwords.demo, "nowhere");
  expect(foreign.status).toBe(401);
  expect(absent.body).toEqual(foreign.body);
  for (const scope of [{ domain: { id: "default" } }, { system: { all: true } }]) {
    expect((await post({ auth: { ...loginBody("demo", passwords.demo), scope } })).status).toBe(401);
  }
});

test("a malformed body is refused with the name of the field", async () => {
  const user = (change: object) => ({ auth: { identity: { methods: ["password"], password: { user: { name: "demo", domain: { id: "default" }, password: "x", ...change } } } } });
  const cases: [unknown, RegExp][] = [
    ["{", /not valid JSON/],
    ["", /not valid JSON/],
    [[], /request body/],
    [{}, /^auth:/],
    [{ auth: {} }, /^auth\.identity:/],
    [{ auth: { identity: { methods: "password" } } }, /^auth\.identity\.methods:/],
    [{ auth: { identity: { methods: ["password"] } } }, /^auth\.identity\.password: is required/],
    [user({ password: 5 }), /^auth\.identity\.password\.user\.password:/],
    [user({ domain: undefined }), /^auth\.identity\.password\.user\.domain:/],
    [user({ name: undefined }), /^auth\.identity\.password\.user: id or name/],
    [user({ name: "a\0b" }), /^auth\.identity\.password\.user\.name:.*NUL/],
    [{ auth: { ...loginBody("demo", passwords.demo), scope: { project: { name: "demo" } } } }, /^auth\.scope\.project\.domain:/],
  ];
  for (const [body, message] of cases) {
    const reply = await post(body);
    expect([reply.status, reply.body.error.title, reply.body.error.message]).toEqual([400, "Bad Request", expect.stringMatching(message)]);
  }
});

test("a body above 64 KB and a method that is not offered are refused", async () => {
  const large = await post({ auth: { ...loginBody("demo", "x".repeat(70_000)) } });
  expect([large.status, large.body.error.code]).toEqual([413, 413]);
  const totp = await post({ auth: { identity: { methods: ["totp"], totp: {} } } });
  expect([totp.status, totp.body.error.message]).toEqual([401, expect.stringContaining("totp")]);
  const create = await identity.send("POST", "/v3/users", { body: {} });
  expect([create.status, create.body.error.title]).toEqual([404, "Not Found"]);
});

test("guessing locks the user for this address for a growing time, even with the right password", async () => {
  await identity.addUser({ name: "guessed", password: "right", project: "guessed", role: "reader" });
  const attempt = async (password: string) => (await identity.login("guessed", password)).status;
  for (let failure = 1; failure <= 5; failure++) expect(await attempt("wrong")).toBe(401);
  const locked = await identity.login("guessed", "right");
  expect([locked.status, locked.body.error.message]).toEqual([401, expect.stringContaining("try again in 1 s")]);
  expect((await identity.login("demo", passwords.demo)).status).toBe(201);
  identity.clock.advance(1_000);
  expect(await attempt("wrong")).toBe(401);
  identity.clock.advance(1_000);
  expect((await identity.login("guessed", "right")).body.error.message).toContain("try again in 1 s");
  identity.clock.advance(1_000);
  expect(await attempt("right")).toBe(201);
  expect(await attempt("wrong")).toBe(401);
  expect(await attempt("right")).toBe(201);
});

test("guesses sent at once are counted one by one: at most one beyond the free ones is tried", async () => {
  await identity.addUser({ name: "flooded", password: "right", project: "flooded", role: "reader" });
  const replies = await Promise.all(Array.from({ length: 20 }, () => identity.login("flooded", "wrong")));
  const locked = replies.filter((reply) => reply.body.error.message.includes("try again"));
  expect(replies.every((reply) => reply.status === 401)).toBe(true);
  expect(locked.length).toBeGreaterThanOrEqual(14);
});

test("a flood of logins is refused beyond its queue, and the service goes on", async () => {
  const replies = await Promise.all(Array.from({ length: 120 }, (_, at) => identity.login(`stranger${at}`, "wrong")));
  const statuses = new Set(replies.map((reply) => reply.status));
  expect([...statuses].sort()).toEqual([401, 503]);
  expect(replies.find((reply) => reply.status === 503)?.body.error.title).toBe("Service Unavailable");
  expect((await identity.login("demo", passwords.demo, "demo")).status).toBe(201);
}, 120_000);
