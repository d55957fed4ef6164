import { Hono, type Context } from "hono";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createTokenVerifier, type VerifierOptions } from "#core/identity/keystone";
import { setSink } from "#core/log";
import { listen, passwords, startIdentity, stop, type TestIdentity } from "#test/support/identity";

let identity: TestIdentity;
let restore: ReturnType<typeof setSink>;
const lines: string[] = [];
beforeAll(async () => {
  restore = setSink((line) => lines.push(JSON.stringify(line)));
  identity = await startIdentity();
});
afterAll(async () => {
  setSink(restore);
  await identity.close();
});
const servers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of servers.splice(0)) await close();
});

/** A verifier against the embedded service, with the requests it sent. */
function verifierOf(change: Partial<VerifierOptions> = {}) {
  const sent: string[] = [];
  const verifier = createTokenVerifier({
    url: identity.url,
    username: "trove",
    password: passwords.trove,
    projectName: "service",
    clock: identity.clock,
    fetch: (input, init) => {
      sent.push(init?.method ?? "GET");
      return fetch(input, init);
    },
    ...change,
  });
  return { ...verifier, sent };
}

async function stub(app: Hono) {
  const { server, port } = await listen((request) => app.fetch(request));
  servers.push(() => stop(server));
  return `http://127.0.0.1:${port}`;
}

const revoke = (token: string) => identity.send("DELETE", "/v3/auth/tokens", { token, headers: { "x-subject-token": token } });

test("a good token gives the actor, once asked for and then from memory", async () => {
  const verifier = verifierOf();
  const token = await identity.tokenOf("demo");
  const { demo } = identity.seeded;
  const expected = { kind: "user", userId: demo.userId, projectId: demo.projectId, roles: ["member"], isAdmin: false };
  for (let time = 0; time < 3; time++) expect(await verifier.verify(token)).toEqual(expected);
  expect(verifier.sent).toEqual(["POST", "GET"]);
  expect((await verifier.verify(await identity.tokenOf("admin")))?.isAdmin).toBe(true);
  await identity.addUser({ name: "auditor", password: "secret", project: "demo", role: "reader" });
  expect(await verifier.verify(await identity.tokenOf("auditor", "secret", "demo"))).toMatchObject({ roles: ["reader"], isAdmin: false });
});

test("the root may end in /v3 or a slash", async () => {
  const token = await identity.tokenOf("demo");
  for (const url of [`${identity.url}/`, `${identity.url}/v3`, `${identity.url}/v3/`]) expect(await verifierOf({ url }).verify(token)).toBeDefined();
});

test("a revoked token is refused within 60 seconds, also where a longer cache was asked for", async () => {
  const verifier = verifierOf({ cacheSeconds: 3600 });
  const token = await identity.tokenOf("demo");
  expect(await verifier.verify(token)).toBeDefined();
  await revoke(token);
  identity.clock.advance(59_000);
  expect(await verifier.verify(token)).toBeDefined();
  identity.clock.advance(1_000);
  expect(await verifier.verify(token)).toBeUndefined();
});

test("a token is refused from the second it ends, however fresh the answer", async () => {
  const verifier = verifierOf();
  const token = await identity.tokenOf("demo");
  identity.clock.advance(3590_000);
  expect(await verifier.verify(token)).toBeDefined();
  identity.clock.advance(10_000);
  expect(await verifier.verify(token)).toBeUndefined();
});

test("unknown and impossible tokens are refused, an unscoped one with the reason; a refusal is remembered for five seconds", async () => {
  const verifier = verifierOf();
  const unscoped = (await identity.login("demo", passwords.demo)).headers.get("x-subject-token")!;
  for (let time = 0; time < 2; time++) {
    expect(await verifier.verify("unknown")).toBeUndefined();
    await expect(verifier.verify(unscoped)).rejects.toMatchObject({ code: "forbidden", message: "The token is not scoped to a project." });
    expect(await verifier.verify("two\nlines")).toBeUndefined();
    expect(await verifier.verify("")).toBeUndefined();
    expect(await verifier.verify("x".repeat(10_000))).toBeUndefined();
  }
  expect(verifier.sent).toEqual(["POST", "GET", "GET"]);
  identity.clock.advance(5_000);
  expect(await verifier.verify("unknown")).toBeUndefined();
  expect(verifier.sent).toHaveLength(4);
});

test("concurrent look-ups of one token are one request, after one login", async () => {
  const verifier = verifierOf();
  const [demo, alt] = await Promise.all([identity.tokenOf("demo"), identity.tokenOf("alt")]);
  const actors = await Promise.all(Array.from({ length: 40 }, (_, at) => verifier.verify(at % 2 ? demo : alt)));
  expect(actors.every((actor, at) => actor?.projectId === identity.seeded[at % 2 ? "demo" : "alt"].projectId)).toBe(true);
  expect(verifier.sent.sort()).toEqual(["GET", "GET", "POST"]);
});

test("the service's own token is renewed when it ends and when Keystone refuses it", async () => {
  const verifier = verifierOf();
  expect(await verifier.verify(await identity.tokenOf("demo"))).toBeDefined();
  identity.clock.advance(3600_000);
  expect(await verifier.verify(await identity.tokenOf("demo"))).toBeDefined();
  expect(verifier.sent).toEqual(["POST", "GET", "POST", "GET"]);
  // Raising the version ends the service's token without a change of the password.
  await identity.db.owner`update identity."user" set password_version = password_version + 1 where name = 'trove'`;
  expect(await verifier.verify(await identity.tokenOf("demo"))).toBeDefined();
  expect(verifier.sent.slice(4)).toEqual(["GET", "POST", "GET"]);
});

test("a refused login of the service is an outage, not a refusal, and is not repeated at once", async () => {
  const verifier = verifierOf({ password: "wrong" });
  const token = await identity.tokenOf("demo");
  for (let time = 0; time < 3; time++) await expect(verifier.verify(token)).rejects.toMatchObject({ code: "serviceUnavailable", reason: "identity.login" });
  expect(verifier.sent).toEqual(["POST"]);
  identity.clock.advance(5_000);
  await expect(verifier.verify(token)).rejects.toMatchObject({ reason: "identity.login" });
  expect(verifier.sent).toEqual(["POST", "POST"]);
});

test("a service user that may not validate tokens is an outage", async () => {
  const verifier = verifierOf({ username: "alt", password: passwords.alt, projectName: "alt" });
  await expect(verifier.verify(await identity.tokenOf("demo"))).rejects.toMatchObject({ code: "serviceUnavailable", reason: "identity.validate" });
});

test("a Keystone that is down, slow, broken or elsewhere is an outage, and a known token still holds", async () => {
  const token = await identity.tokenOf("demo");
  let ill = false;
  const verifier = verifierOf({ fetch: (input, init) => (ill ? Promise.reject(new TypeError("fetch failed")) : fetch(input, init)) });
  expect(await verifier.verify(token)).toBeDefined();
  ill = true;
  expect(await verifier.verify(token)).toBeDefined();
  identity.clock.advance(60_000);
  await expect(verifier.verify(token)).rejects.toMatchObject({ code: "serviceUnavailable", reason: "identity.unreachable" });
  ill = false;
  expect(await verifier.verify(token)).toBeDefined();

  const silent = await stub(new Hono().all("*", () => new Promise<Response>(() => {})));
  const halting = await stub(new Hono().all("*", () => new Response(new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode("{")) }))));
  const broken = await stub(new Hono().all("*", (c) => c.text("no", 500)));
  const elsewhere = await stub(new Hono().all("*", (c) => c.redirect(`${identity.url}/v3/auth/tokens`, 307)));
  for (const url of [silent, halting, broken, elsewhere, "http://127.0.0.1:1"]) {
    await expect(verifierOf({ url, timeoutMs: 100 }).verify(token)).rejects.toMatchObject({ code: "serviceUnavailable" });
  }
});

test("an answer that is no token is an outage", async () => {
  const issued = (c: Context) =>
    c.json({ token: { expires_at: "2099-01-01T00:00:00.000000Z" } }, 201, { "X-Subject-Token": "own" });
  for (const answer of ["<html>", "{}", `{"token":{"expires_at":"soon"}}`]) {
    const url = await stub(new Hono().post("/v3/auth/tokens", issued).get("/v3/auth/tokens", (c) => c.body(answer)));
    await expect(verifierOf({ url }).verify("some")).rejects.toMatchObject({ code: "serviceUnavailable", reason: "identity.answer" });
  }
});

test("no token and no password is ever logged", async () => {
  const token = await identity.tokenOf("demo");
  await expect(verifierOf({ password: "wrong-password" }).verify(token)).rejects.toThrow();
  const text = lines.join("\n");
  expect(text).toContain("token could not be validated");
  for (const secret of [token, "wrong-password", ...Object.values(passwords)]) expect(text).not.toContain(secret);
});
