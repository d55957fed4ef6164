import { afterAll, beforeAll, expect, test } from "vitest";
import { startCloud, type Cloud } from "#test/openstack/cloud";
import { until } from "#test/support/cluster";

/**
 * Debian's unmodified client, OpenStack's own Keystone, and a server of one's own. The tests are one life, in order.
 */
let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(() => cloud?.close());

type Row = Record<string, unknown>;
const names = async (as: Record<string, string>) => (await json<Row[]>("database instance list", as)).map(({ Name: name }) => name).sort();
/** The command must succeed; answers what it printed as JSON. */
async function json<T>(command: string, as: Record<string, string>): Promise<T> {
  const { code, stdout, stderr } = await cloud.openstack(`${command} -f json`, as);
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  return JSON.parse(stdout) as T;
}
async function refused(command: string, as: Record<string, string>, why: RegExp) {
  const { code, stdout, stderr } = await cloud.openstack(command, as);
  expect(`${code} ${stdout} ${stderr}`).toMatch(why);
  expect(code).not.toBe(0);
}

test("the documented commands make the service user and the catalogue entry", async () => {
  expect(await cloud.register()).toMatchObject({ code: 0, stderr: "" });
  const services = await json<Row[]>("catalog list", cloud.people.member.env);
  const { Endpoints: endpoints } = services.find(({ Type: type }) => type === "database") ?? {};
  expect(endpoints).toEqual(["public", "internal", "admin"].map(() => expect.objectContaining({ region: "RegionOne", url: `${cloud.server.url}/v1.0/${cloud.people.member.project}` }) as object));
});

test("a member with a password makes an instance, finds it by its name, and deletes it", async () => {
  const { env } = cloud.people.member;
  const created = await json<Row>("database instance create db1 --flavor small --size 1 --datastore postgresql --datastore-version 17 --databases app --users alice:secret", env);
  expect(created.status).toBe("BUILD");
  await until(async () => (await json<Row>("database instance show db1", env)).status === "ACTIVE", "db1", 60_000);
  expect(await json<Row[]>("database instance list", env)).toMatchObject([{ Name: "db1", Status: "ACTIVE" }]);
  expect(await json<Row[]>("datastore list", env)).toMatchObject([{ Name: "postgresql" }]);
  await refused("database instance show db1", cloud.people.namesake.env, /No instance with a name or ID of 'db1'|404/);
});

test("a member with a token, or a token of a token, sees the same", async () => {
  const { member, reader } = cloud.people;
  const as = (token: string) => ({ OS_AUTH_TYPE: "v3token", OS_TOKEN: token, OS_PROJECT_NAME: "demo", OS_USER_DOMAIN_ID: "" });
  expect(await json<Row[]>("database instance list", as(await member.token()))).toMatchObject([{ Name: "db1" }]);
  const unscoped = await cloud.keystone.login({ identity: member.identity, scope: "unscoped" });
  const again = await cloud.keystone.login({ identity: { methods: ["token"], token: { id: unscoped } }, scope: { project: { id: member.project } } });
  expect(await json<Row[]>("database instance list", as(again))).toMatchObject([{ Name: "db1" }]);
  expect(await json<Row[]>("database instance list", as(await reader.token()))).toMatchObject([{ Name: "db1" }]);
});

/** Made by the client, as its user would; the variables that use it. */
async function applicationCredential(name: string, more = "") {
  const made = await json<{ ID: string; Secret: string; id: string; secret: string }>(`application credential create ${name}${more}`, cloud.people.member.env);
  // A user is no part of it: the credential names its own.
  return { OS_AUTH_TYPE: "v3applicationcredential", OS_APPLICATION_CREDENTIAL_ID: made.id ?? made.ID, OS_APPLICATION_CREDENTIAL_SECRET: made.secret ?? made.Secret, OS_USER_DOMAIN_ID: "", OS_PROJECT_DOMAIN_ID: "" };
}

test("an application credential does what its user may do, and nothing once it is deleted", async () => {
  const as = await applicationCredential("everything");
  expect(await json<Row[]>("database instance list", as)).toMatchObject([{ Name: "db1" }]);
  expect(await json<Row>("database instance create db2 --flavor small --size 1 --datastore postgresql --datastore-version 17", as)).toMatchObject({ name: "db2" });
  expect((await cloud.openstack("application credential delete everything", cloud.people.member.env)).code).toBe(0);
  await refused("database instance list", as, /Could not find Application Credential|401/);
});

test("an application credential with fewer roles than its user does less", async () => {
  const as = await applicationCredential("viewer", " --role reader");
  expect(await names(as)).toEqual(["db1", "db2"]);
  await refused("database instance delete db2", as, /role reader may only read.*403/s);
});

test("an application credential with access rules does what they allow, and no more", async () => {
  const rules = JSON.stringify([{ service: "database", method: "GET", path: "/v1.0/*/instances" }, { service: "compute", method: "GET", path: "/**" }]);
  const as = await applicationCredential("lister", ` --access-rules ${rules}`);
  expect(await names(as)).toEqual(["db1", "db2"]);
  await refused("datastore list", as, /access rules do not allow GET \/v1\.0\/[0-9a-f]+\/datastores\..*403/);
  await refused("database instance create db3 --flavor 2 --size 1 --datastore postgresql --datastore-version 17", as, /access rules do not allow/);
});

test("roles decide: a reader reads, a member changes, an administrator manages", async () => {
  const { reader, boss, member, namesake } = cloud.people;
  expect(await names(reader.env)).toEqual(["db1", "db2"]);
  await refused("database instance create db4 --flavor small --size 1 --datastore postgresql --datastore-version 17", reader.env, /role reader may only read.*403/s);
  await refused("database instance delete db2", reader.env, /role reader may only read.*403/s);
  await refused(`database instance reset status db2`, member.env, /403/);
  await refused(`database quota show ${namesake.project}`, member.env, /403|not allow/);
  // The name is Keystone's to resolve, of which there are two.
  expect(await json<Row[]>(`database quota show ${namesake.project}`, boss.env)).toEqual(expect.arrayContaining([expect.objectContaining({ Resource: "instances", "In Use": 0 }) as object]));
  const managed = await cloud.api(await boss.token(), "GET", `/v1.0/${boss.project}/mgmt/instances`);
  expect(managed.status).toBe(200);
  expect((await cloud.api(await member.token(), "GET", `/v1.0/${member.project}/mgmt/instances`)).status).toBe(401);
  expect((await cloud.openstack("database instance delete db2", member.env)).code).toBe(0);
  await until(async () => (await names(member.env)).length === 1, "db2 to go", 60_000);
});

test("a user and a project of the same names in another domain are others", async () => {
  const { member, namesake } = cloud.people;
  expect(await json<Row[]>("database instance list", namesake.env)).toEqual([]);
  await json<Row>("database instance create db1 --flavor small --size 1 --datastore postgresql --datastore-version 17", namesake.env);
  const [ours, theirs] = [await json<Row[]>("database instance list", member.env), await json<Row[]>("database instance list", namesake.env)];
  expect([ours.length, theirs.length]).toEqual([1, 1]);
  expect(theirs[0]?.ID).not.toBe(ours[0]?.ID);
  const crossed = await cloud.api(await namesake.token(), "GET", `/v1.0/${member.project}/instances`);
  expect([crossed.status, crossed.json.forbidden?.message]).toEqual([403, "The project in the path is not the token's."]);
  expect((await cloud.api(await namesake.token(), "GET", `/v1.0/${namesake.project}/instances/${String(ours[0]?.ID)}`)).status).toBe(404);
});
