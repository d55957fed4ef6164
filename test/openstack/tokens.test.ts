import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createTokenVerifier } from "#core/identity/keystone";
import { startCloud, PASSWORD, SERVICE_PASSWORD, type Cloud } from "#test/openstack/cloud";
import { movableClock } from "#test/support/clock";
import { until } from "#test/support/cluster";
import { passwordOf } from "#test/support/openstack/keystone";
import type { ServerProcess } from "#test/support/server/process";

/** What OpenStack's own Keystone says of tokens, and what a started server makes of it. */
let cloud: Cloud;
/** Believes nothing, so that every request asks Keystone, through the proxy. */
let doubter: ServerProcess;
beforeAll(async () => {
  cloud = await startCloud();
  await cloud.enlist();
  doubter = await cloud.plane.start({ COFFER_KEYSTONE_URL: cloud.proxy.url, COFFER_KEYSTONE_CACHE_SECONDS: "0" });
});
afterAll(() => cloud?.close());
afterEach(() => {
  cloud.proxy.trouble();
});

const list = (token: string | undefined, at = doubter.url, project = cloud.people.member.project) => cloud.api(token, "GET", `/v1.0/${project}/instances`, { at });
const statusOf = async (token: string | undefined, at?: string) => (await list(token, at)).status;
/** What was asked of Keystone since it was last looked. */
const asked = () => cloud.proxy.take().map(({ method, path }) => `${method} ${path}`);
const LOGIN = "POST /v3/auth/tokens?nocatalog";
const VALIDATE = "GET /v3/auth/tokens?nocatalog";

/** As a server has it, with a clock of its own that starts at the machine's time. */
function verifierOf(change: { cacheSeconds?: number } = {}) {
  const clock = movableClock(new Date());
  const verifier = createTokenVerifier({ url: cloud.keystone.url, username: "trove", password: SERVICE_PASSWORD, projectName: "service", clock, ...change });
  return { verify: (token: string) => verifier.verify(token), clock };
}

test("no token, a token that never was, one too long and one of another form are answered as Keystone's middleware does", async () => {
  for (const token of [undefined, "never", "x".repeat(2048), "x".repeat(7000), "gAAAAABnY2hlY2s", "..", "%00", "a b"]) {
    const { status, headers, json } = await list(token);
    expect([token?.length, status]).toEqual([token?.length, 401]);
    expect(json).toEqual({ error: { code: 401, title: "Unauthorized", message: "The request you have made requires authentication." } });
    expect(headers.get("www-authenticate")).toBe(`Keystone uri="${cloud.proxy.url}"`);
  }
});

test("tokens of a domain, of the system and of nothing are refused, each with its reason, and one of a project is not", async () => {
  const { member, roleId } = cloud.people;
  await cloud.keystone.admin("PUT", `/domains/default/users/${member.id}/roles/${roleId("member")}`);
  await cloud.keystone.admin("PUT", `/system/users/${member.id}/roles/${roleId("admin")}`);
  const scoped = (scope: unknown) => cloud.keystone.login({ identity: member.identity, scope });
  const reasons = [
    [{ domain: { id: "default" } }, "The token is scoped to the domain 'Default', not to a project."],
    [{ system: { all: true } }, "The token is scoped to the system, not to a project."],
    ["unscoped", "The token is not scoped to a project."],
  ] as const;
  for (const [scope, reason] of reasons) {
    const token = await scoped(scope);
    for (const { at } of [{ at: doubter.url }, { at: cloud.server.url }, { at: cloud.server.url }]) {
      const { status, json } = await list(token, at);
      expect([status, json.forbidden?.message]).toEqual([403, `${reason} Log in with a project (OS_PROJECT_NAME or OS_PROJECT_ID).`]);
    }
  }
  expect(await statusOf(await member.token())).toBe(200);
});

test("a token revoked, and those whose user, role, project or application credential is gone, are refused at the next look", async () => {
  const { member, reader, roleId } = cloud.people;
  const spare = (await cloud.keystone.admin("POST", "/projects", { project: { name: "spare", domain_id: "default" } })).project.id;
  const make = async (name: string) => {
    const { user } = await cloud.keystone.admin("POST", "/users", { user: { name, password: PASSWORD, domain_id: "default" } });
    const grant = `/projects/${spare}/users/${user.id}/roles/${roleId("member")}`;
    await cloud.keystone.admin("PUT", grant);
    return { id: user.id, grant, token: await cloud.keystone.login({ identity: passwordOf(name, PASSWORD), scope: { project: { id: spare } } }) };
  };
  const seen = async (token: string) => (await list(token, doubter.url, spare)).status;
  const own = await member.token();
  expect(await statusOf(own)).toBe(200);
  expect((await cloud.keystone.ask("DELETE", "/auth/tokens", { token: own, subject: own })).status).toBe(204);
  expect(await statusOf(own)).toBe(401);
  expect(await statusOf(await reader.token())).toBe(200);

  const { application_credential: credential } = (await cloud.keystone.ask("POST", `/users/${member.id}/application_credentials`, { token: await member.token(), body: { application_credential: { name: "gone" } } })).json;
  const withCredential = await cloud.keystone.login({ identity: { methods: ["application_credential"], application_credential: { id: credential.id, secret: credential.secret } } });
  expect(await statusOf(withCredential)).toBe(200);
  await cloud.keystone.ask("DELETE", `/users/${member.id}/application_credentials/${credential.id}`, { token: await member.token() });
  expect(await statusOf(withCredential)).toBe(401);

  const [leaver, demoted, changed, stranded] = [await make("leaver"), await make("demoted"), await make("changed"), await make("stranded")];
  for (const one of [leaver, demoted, changed, stranded]) expect(await seen(one.token)).toBe(200);
  await cloud.keystone.admin("PATCH", `/users/${leaver.id}`, { user: { enabled: false } });
  await cloud.keystone.admin("DELETE", demoted.grant);
  await cloud.keystone.admin("PATCH", `/users/${changed.id}`, { user: { password: "another-secret" } });
  for (const one of [leaver, demoted, changed]) expect(await seen(one.token)).toBe(401);
  expect(await seen(stranded.token)).toBe(200);
  await cloud.keystone.admin("PATCH", `/projects/${spare}`, { project: { enabled: false } });
  expect(await seen(stranded.token)).toBe(401);
});

test("a revocation is seen 60 seconds after the last look, and not by chance before", async () => {
  const { verify, clock } = verifierOf({ cacheSeconds: 3600 });
  const token = await cloud.people.member.token();
  expect(await verify(token)).toMatchObject({ projectId: cloud.people.member.project });
  await cloud.keystone.ask("DELETE", "/auth/tokens", { token, subject: token });
  clock.advance(59_999);
  expect(await verify(token)).toBeDefined();
  clock.advance(1);
  expect(await verify(token)).toBeUndefined();
});

test("a server that is told to believe for a second sees it then", async () => {
  const quick = await cloud.plane.start({ COFFER_KEYSTONE_CACHE_SECONDS: "1" });
  const token = await cloud.people.member.token();
  expect(await statusOf(token, quick.url)).toBe(200);
  await cloud.keystone.ask("DELETE", "/auth/tokens", { token, subject: token });
  await until(async () => (await statusOf(token, quick.url)) === 401, "the revocation to be seen");
  expect(await quick.kill("SIGTERM")).toBe(0);
});

test("a token is believed no longer than it lives, even where Keystone would still say yes", async () => {
  const { verify, clock } = verifierOf();
  const token = await cloud.people.member.token();
  const { json } = await cloud.keystone.ask("GET", "/auth/tokens", { token, subject: token });
  const end = Date.parse(json.token.expires_at);
  clock.advance(end - clock.now().getTime() - 10_000);
  expect(await verify(token)).toBeDefined();
  clock.advance(9_999);
  expect(await verify(token)).toBeDefined();
  clock.advance(1);
  expect(await verify(token)).toBeUndefined();
});

test("a revoked token of the service is renewed once, however many ask meanwhile", async () => {
  const { member, reader, boss } = cloud.people;
  expect(await statusOf(await member.token())).toBe(200);
  const own = cloud.proxy.take().at(-1)?.headers.get("x-auth-token") ?? "";
  expect((await cloud.keystone.ask("DELETE", "/auth/tokens", { token: own, subject: own })).status).toBe(204);
  const tokens = await Promise.all([member, reader, boss].map((one) => one.token()));
  expect(await Promise.all(tokens.map((token) => statusOf(token)))).toEqual([200, 200, 200]);
  expect(asked().filter((one) => one === LOGIN)).toHaveLength(1);
});

/** What clients get who must not log in anew but come again. */
async function expectAway(token: string, reason = "The identity service does not answer.") {
  const { status, headers, json } = await list(token);
  expect([status, json.serviceUnavailable?.code]).toEqual([503, 503]);
  expect(json.serviceUnavailable?.message).toContain(reason);
  expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
}

test("a Keystone that is down is a 503 with Retry-After, believed tokens go on, and all is well once it is back", async () => {
  const token = await cloud.people.member.token();
  expect(await statusOf(token, cloud.server.url)).toBe(200);
  await cloud.keystone.halt();
  try {
    await expectAway(token);
    // None that an earlier test used: refusals are remembered for a while.
    await expectAway("never-when-away");
    expect(await statusOf("never-when-away", cloud.server.url)).toBe(503);
    expect(await statusOf(token, cloud.server.url)).toBe(200);
  } finally {
    await cloud.keystone.resume();
  }
  expect(await statusOf(token)).toBe(200);
  expect(await statusOf("never-when-away")).toBe(401);
});

test("a Keystone that takes requests and does not answer is a 503, for the service's own login as well", async () => {
  const token = await cloud.people.member.token();
  const fresh = await cloud.plane.start({ COFFER_KEYSTONE_CACHE_SECONDS: "0" });
  cloud.keystone.freeze(true);
  try {
    const all = await Promise.all([list(token), list(token, fresh.url), list("never-before")]);
    expect(all.map(({ status }) => status)).toEqual([503, 503, 503]);
  } finally {
    cloud.keystone.freeze(false);
  }
  await until(async () => (await statusOf(token)) === 200, "the answer");
  await until(async () => (await statusOf(token, fresh.url)) === 200, "the answer to a login");
  expect(await fresh.kill("SIGTERM")).toBe(0);
});

test("a Keystone without its database answers 500, and that is a 503", async () => {
  const token = await cloud.people.member.token();
  const fresh = await cloud.plane.start({ COFFER_KEYSTONE_CACHE_SECONDS: "0" });
  await cloud.keystone.ill(true);
  try {
    expect((await cloud.keystone.ask("GET", "/projects", { token })).status).toBe(500);
    const { status, json } = await list(token, fresh.url);
    expect([status, json.serviceUnavailable?.code]).toEqual([503, 503]);
  } finally {
    await cloud.keystone.ill(false);
  }
  await until(async () => (await statusOf(token, fresh.url)) === 200, "the answer");
  expect(await fresh.kill("SIGTERM")).toBe(0);
});

test.each([500, 502, 503, 504, 429, 413, 403])("a %i in Keystone's place is a 503, and forgotten with the next answer", async (status) => {
  const token = await cloud.people.member.token();
  cloud.proxy.trouble(() => new Response("<html>no</html>", { status, headers: { "retry-after": "30" } }));
  await expectAway(token, "The identity service could not validate the token.");
  cloud.proxy.trouble();
  expect(await statusOf(token)).toBe(200);
});

test("one bad answer of a balancer is no outage", async () => {
  const token = await cloud.people.member.token();
  let bad = 2;
  cloud.proxy.trouble(() => (bad-- > 0 ? new Response("", { status: 503 }) : undefined));
  asked();
  expect(await statusOf(token)).toBe(200);
  expect(asked()).toEqual([VALIDATE, VALIDATE, VALIDATE]);
});

test("a service user that may log in and nothing more is told to the operator, and heals with the role", async () => {
  const token = await cloud.people.member.token();
  const { users } = await cloud.keystone.admin("GET", "/users?name=trove");
  const { projects } = await cloud.keystone.admin("GET", "/projects?name=service");
  const grant = (role: string) => `/projects/${projects[0]?.id}/users/${users[0]?.id}/roles/${cloud.people.roleId(role)}`;
  await cloud.keystone.admin("PUT", grant("reader"));
  await cloud.keystone.admin("DELETE", grant("admin"));
  await expectAway(token, "The user of this service needs a role that may validate tokens");
  await cloud.keystone.admin("PUT", grant("admin"));
  await until(async () => (await statusOf(token)) === 200, "the role to count");
});

test("guesses are Keystone's matter: each is asked for once, and nobody else is kept waiting or out", async () => {
  const token = await cloud.people.member.token();
  const guesses = Array.from({ length: 40 }, (_, at) => `guess-${at}`);
  asked();
  const seen = await Promise.all([...guesses, token].map((one) => statusOf(one)));
  expect(seen).toEqual([...guesses.map(() => 401), 200]);
  expect(asked().filter((one) => one === VALIDATE)).toHaveLength(41);
});

test("when all tokens have expired, the service renews its own once, refuses the old ones and takes new ones", async () => {
  const { member } = cloud.people;
  const old = await member.token();
  expect(await statusOf(old)).toBe(200);
  asked();
  await cloud.keystone.clock(7200);
  expect(await statusOf(old)).toBe(401);
  expect(asked()).toEqual([VALIDATE, LOGIN, VALIDATE]);
  expect(await statusOf(await member.token())).toBe(200);
  expect(asked()).toEqual([VALIDATE]);
  expect(await statusOf(await member.token(), cloud.server.url)).toBe(200);
});

test("no token and no password stands in what the servers print", async () => {
  const token = await cloud.people.member.token();
  expect(await statusOf(token)).toBe(200);
  const printed = doubter.output() + cloud.server.output();
  expect(printed).toContain("token could not be validated");
  for (const secret of [token, PASSWORD, SERVICE_PASSWORD, "gAAAA"]) expect(printed).not.toContain(secret);
});
