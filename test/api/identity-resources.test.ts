import { afterAll, beforeAll, expect, test } from "vitest";
import { startIdentity, type TestIdentity } from "#test/support/identity";

let identity: TestIdentity;
let demo: string;
let admin: string;
beforeAll(async () => {
  identity = await startIdentity();
  [demo, admin] = await Promise.all([identity.tokenOf("demo"), identity.tokenOf("admin")]);
});
afterAll(() => identity.close());

const get = (path: string, token: string) => identity.send("GET", `/v3${path}`, { token });
const names = (rows: { name: string }[]) => rows.map((row) => row.name);

test("a member finds its own project by id and by name, and no other", async () => {
  const { demo: own, alt } = identity.seeded;
  const shown = await get(`/projects/${own.projectId}`, demo);
  expect(shown.body.project).toMatchObject({ id: own.projectId, name: "demo", domain_id: "default", parent_id: "default", enabled: true, is_domain: false, links: { self: `${identity.url}/v3/projects/${own.projectId}` } });
  expect((await get("/projects/demo", demo)).status).toBe(404);
  expect(names((await get("/projects?name=demo", demo)).body.projects)).toEqual(["demo"]);
  expect(names((await get("/projects", demo)).body.projects)).toEqual(["demo"]);
  expect((await get("/projects?name=alt", demo)).body.projects).toEqual([]);
  const foreign = await get(`/projects/${alt.projectId}`, demo);
  const absent = await get(`/projects/${"0".repeat(32)}`, demo);
  expect([foreign.status, absent.status]).toEqual([404, 404]);
});

test("an admin sees all projects, users, roles, services and endpoints, by name too", async () => {
  expect(names((await get("/projects", admin)).body.projects)).toEqual(["admin", "alt", "demo", "service"]);
  expect(names((await get("/projects?name=alt&domain_id=default&enabled=true", admin)).body.projects)).toEqual(["alt"]);
  expect((await get("/projects?domain_id=other", admin)).body.projects).toEqual([]);
  expect((await get("/projects?enabled=false", admin)).body.projects).toEqual([]);
  const users = (await get("/users", admin)).body;
  expect(names(users.users)).toEqual(["admin", "alt", "demo", "trove"]);
  expect(users.links).toEqual({ next: null, previous: null, self: `${identity.url}/v3/users` });
  expect(names((await get("/users?name=trove", admin)).body.users)).toEqual(["trove"]);
  expect(names((await get("/roles", admin)).body.roles)).toEqual(["admin", "member", "reader"]);
  const [role] = (await get("/roles?name=reader", admin)).body.roles;
  expect((await get(`/roles/${role?.id}`, admin)).body.role.name).toBe("reader");
  const services = (await get("/services", admin)).body.services;
  expect(services.map((one) => one.type)).toEqual(["database", "identity", "key-manager", "object-store"]);
  expect((await get(`/services/${services[0]?.id}`, admin)).body.service.name).toBe("trove");
  const endpoints = (await get(`/endpoints?service_id=${services[0]?.id}&interface=public`, admin)).body.endpoints;
  expect(endpoints).toMatchObject([{ url: identity.options.databaseUrl("%(project_id)s"), region_id: "RegionOne", enabled: true }]);
  expect((await get(`/endpoints/${endpoints[0]?.id}`, admin)).body.endpoint).toEqual(endpoints[0]);
});

test("role assignments can be sought by user, project and role, with names on request", async () => {
  const { demo: user } = identity.seeded;
  const plain = await get(`/role_assignments?user.id=${user.userId}&scope.project.id=${user.projectId}`, admin);
  expect(plain.body.role_assignments).toMatchObject([{ user: { id: user.userId }, scope: { project: { id: user.projectId } } }]);
  const named = await get(`/role_assignments?user.id=${user.userId}&include_names=True`, admin);
  expect(named.body.role_assignments).toMatchObject([
    { role: { name: "member" }, user: { name: "demo", domain: { name: "Default" } }, scope: { project: { name: "demo", domain: { id: "default" } } } },
  ]);
  expect((await get("/role_assignments", admin)).body.role_assignments).toHaveLength(4);
});

test("a member sees itself, domains and regions, and nothing that is for an admin", async () => {
  const { demo: own, alt } = identity.seeded;
  expect((await get(`/users/${own.userId}`, demo)).body.user).toMatchObject({ name: "demo", enabled: true });
  expect(names((await get(`/users/${own.userId}/projects`, demo)).body.projects)).toEqual(["demo"]);
  expect(names((await get("/domains?name=Default", demo)).body.domains)).toEqual(["Default"]);
  expect((await get("/domains/default", demo)).body.domain.name).toBe("Default");
  expect((await get("/regions", demo)).body.regions).toMatchObject([{ id: "RegionOne" }]);
  expect((await get("/regions/RegionOne", demo)).body.region.id).toBe("RegionOne");
  for (const path of ["/users", `/users/${alt.userId}`, `/users/${alt.userId}/projects`, "/roles", "/role_assignments", "/services", "/endpoints"]) {
    const reply = await get(path, demo);
    expect([path, reply.status, reply.body.error.title]).toEqual([path, 403, "Forbidden"]);
  }
});

test("nothing is shown without a token, and no hash of a password ever", async () => {
  for (const path of ["/projects", "/users", "/domains", "/domains/default", "/regions", "/auth/projects", "/auth/catalog"]) {
    expect((await identity.send("GET", `/v3${path}`)).status).toBe(401);
  }
  expect((await get("/users", admin)).text).not.toContain("scrypt");
});

test("odd ids and filters are refused or not found, never an error of ours", async () => {
  expect((await get("/projects/%00", admin)).status).toBe(400);
  expect((await get("/projects?name=%00", admin)).status).toBe(400);
  expect((await get("/users/..%2f..", admin)).status).toBe(404);
  expect((await get(`/projects/${"x".repeat(3000)}`, admin)).status).toBe(404);
  expect((await get("/nonsense", admin)).body.error).toMatchObject({ code: 404, title: "Not Found" });
});

test("seeding again changes nothing, except a password that is another one now", async () => {
  const { seedIdentity } = await import("#functions/identity/index");
  const { passwords } = await import("#test/support/identity");
  const hashes = () => identity.db.owner`select name, password_hash, password_version from identity."user" order by name`;
  const before = await hashes();
  expect(await identity.asSystem(() => seedIdentity(passwords))).toEqual(identity.seeded);
  expect(await hashes()).toEqual(before);
  expect(await identity.asSystem(() => seedIdentity({ ...passwords, alt: "new-secret" }))).toEqual(identity.seeded);
  expect((await identity.login("alt", passwords.alt, "alt")).status).toBe(401);
  expect((await identity.login("alt", "new-secret", "alt")).status).toBe(201);
});

test("the role that serves tenants cannot look into the identity tables", async () => {
  const [row] = await identity.db.owner`select has_schema_privilege('coffer_app', 'identity', 'usage') as usage`;
  expect(row?.usage).toBe(false);
});
