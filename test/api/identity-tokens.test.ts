import { afterAll, beforeAll, expect, test } from "vitest";
import { passwords, startIdentity, type TestIdentity } from "#test/support/identity";

let identity: TestIdentity;
beforeAll(async () => {
  identity = await startIdentity();
});
afterAll(() => identity.close());

/** A user of its own, because most of these tests end it. */
let count = 0;
async function someone() {
  const name = `user${count++}`;
  const ids = await identity.addUser({ name, password: "secret", project: name, role: "member" });
  return { name, ...ids, token: await identity.tokenOf(name, "secret", name) };
}

test("a token may be looked at by its user, an admin and the service, not by another user", async () => {
  const [demo, alt, admin, trove] = await Promise.all(["demo", "alt", "admin", "trove"].map((name) => identity.tokenOf(name)));
  for (const by of [demo, admin, trove]) {
    const reply = await identity.validate(demo!, by!);
    expect(reply.status).toBe(200);
    expect(reply.headers.get("x-subject-token")).toBe(demo);
    expect(reply.body.token).toMatchObject({ user: { name: "demo" }, project: { name: "demo" }, roles: [{ name: "member" }] });
  }
  expect((await identity.validate(demo!, alt!)).status).toBe(403);
  expect((await identity.send("DELETE", "/v3/auth/tokens", { token: alt!, headers: { "x-subject-token": demo! } })).status).toBe(403);
  const head = await identity.send("HEAD", "/v3/auth/tokens", { token: demo!, headers: { "x-subject-token": demo! } });
  expect([head.status, head.headers.get("x-subject-token"), head.text]).toEqual([200, demo, ""]);
});

test("without a good token of one's own there is no answer, and an unknown subject is not found", async () => {
  const admin = await identity.tokenOf("admin");
  expect((await identity.send("GET", "/v3/auth/tokens", { headers: { "x-subject-token": admin } })).status).toBe(401);
  expect((await identity.validate(admin, "nonsense")).status).toBe(401);
  for (const subject of ["nonsense", "a.b", `${admin}x`, admin.replace(/^./, (c) => (c === "A" ? "B" : "A")), "x".repeat(5000)]) {
    expect((await identity.validate(subject, admin)).status).toBe(404);
  }
  expect((await identity.send("GET", "/v3/auth/tokens", { token: admin })).status).toBe(404);
});

test("a token signed by another installation is not found", async () => {
  const { tokenCodec } = await import("#functions/identity/token");
  const claims = tokenCodec(identity.options.signingKey).open(await identity.tokenOf("admin"));
  const forged = tokenCodec(Buffer.alloc(32, 8)).seal(claims!);
  expect((await identity.send("GET", "/v3/projects", { token: forged })).status).toBe(401);
});

test("a token given back ends at once, others of the user do not, and its row goes after its time", async () => {
  const { token, name } = await someone();
  const other = await identity.tokenOf(name, "secret", name);
  const gone = await identity.send("DELETE", "/v3/auth/tokens", { token, headers: { "x-subject-token": token } });
  expect([gone.status, gone.text]).toEqual([204, ""]);
  const admin = await identity.tokenOf("admin");
  expect((await identity.validate(token, admin)).status).toBe(404);
  expect((await identity.send("GET", "/v3/projects", { token })).status).toBe(401);
  expect((await identity.validate(other, admin)).status).toBe(200);

  identity.clock.advance(3601_000);
  const late = await identity.tokenOf(name, "secret", name);
  await identity.send("DELETE", "/v3/auth/tokens", { token: late, headers: { "x-subject-token": late } });
  const rows = await identity.db.owner`select expires_at > ${identity.clock.now()} as running from identity.revoked`;
  expect(rows.map((row) => row.running as boolean)).toEqual([true]);
});

test("a token ends with its hour", async () => {
  const { token } = await someone();
  identity.clock.advance(3599_000);
  expect((await identity.send("GET", "/v3/auth/projects", { token })).status).toBe(200);
  identity.clock.advance(1_000);
  expect((await identity.send("GET", "/v3/auth/projects", { token })).status).toBe(401);
});

test.each<[string, (user: { userId: string; projectId: string; name: string }) => Promise<unknown>]>([
  ["the user is disabled", ({ userId }) => identity.db.owner`update identity."user" set enabled = false where id = ${userId}`],
  ["the user is deleted", ({ userId }) => identity.db.owner`delete from identity."user" where id = ${userId}`],
  ["the project is disabled", ({ projectId }) => identity.db.owner`update identity.project set enabled = false where id = ${projectId}`],
  ["the project is deleted", ({ projectId }) => identity.db.owner`delete from identity.project where id = ${projectId}`],
  ["the role is taken away", ({ userId }) => identity.db.owner`delete from identity.assignment where user_id = ${userId}`],
  ["the password changes", ({ name }) => identity.addUser({ name, password: "another", project: name, role: "member" })],
])("a token ends when %s", async (_, change) => {
  const user = await someone();
  expect((await identity.send("GET", "/v3/auth/catalog", { token: user.token })).status).toBe(200);
  await change(user);
  expect((await identity.send("GET", "/v3/auth/catalog", { token: user.token })).status).toBe(401);
});

test("a token keeps the roles it was issued with when the user gains one", async () => {
  const user = await someone();
  await identity.addUser({ name: user.name, password: "secret", project: user.name, role: "admin" });
  expect((await identity.validate(user.token, user.token)).body.token.roles.map((role) => role.name)).toEqual(["member"]);
  expect((await identity.send("GET", "/v3/users", { token: user.token })).status).toBe(403);
});

test("the catalogue needs a project, the list of one's projects does not", async () => {
  const unscoped = (await identity.login("demo", passwords.demo)).headers.get("x-subject-token")!;
  expect((await identity.send("GET", "/v3/auth/catalog", { token: unscoped })).status).toBe(403);
  const projects = await identity.send("GET", "/v3/auth/projects", { token: unscoped });
  expect(projects.body.projects.map((project) => project.name)).toEqual(["demo"]);
});
