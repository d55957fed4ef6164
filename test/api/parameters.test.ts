import { afterAll, beforeAll, expect, test } from "vitest";
import { seedCatalogue } from "#core/instance/catalogue";
import { nameId } from "#core/datastore/seed";
import { catalogue, nobody, startApi, type Api } from "#test/api/rig";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const version = nameId("postgresql", "17");
const rule = (change: Record<string, unknown> = {}) => ({ body: { "configuration-parameter": { name: "auto_explain.log_min_duration", restart_required: 0, data_type: "integer", max_size: 1000, min_size: -1, ...change } } });

test("parameters are listed and shown by datastore and by version id, with the server's own bounds", async () => {
  const paths = [`/datastores/postgresql/versions/17/parameters`, `/datastores/versions/${version}/parameters`];
  for (const path of paths) {
    const list = (await api.ask("reader", `GET ${path}`)).json["configuration-parameters"] as { name: string }[];
    expect(list.length).toBeGreaterThan(183);
    expect(list.map(({ name }) => name)).toEqual(list.map(({ name }) => name).sort());
    expect(list.find(({ name }) => name === "archive_command")).toBeUndefined();
    const one = await api.ask("reader", `GET ${path}/Max_Connections`);
    expect([one.status, one.json]).toEqual([200, { name: "max_connections", datastore_version_id: version, restart_required: true, type: "integer", max: 262143, min: 1 }]);
    expect((await api.ask("reader", `GET ${path}/random_page_cost`)).json).toEqual({ name: "random_page_cost", datastore_version_id: version, restart_required: false, type: "float" });
    expect((await api.ask("reader", `GET ${path}/work_mem`)).json).toMatchObject({ unit: "kB", min: 64, max: 2147483647 });
    expect((await api.ask("reader", `GET ${path}/wal_compression`)).json).toMatchObject({ type: "string", allowed_values: expect.arrayContaining(["pglz"]) as string[] });
    expect((await api.ask("reader", `GET ${path}/nonsense`)).status).toBe(404);
  }
  expect((await api.ask("reader", `GET /datastores/versions/${nobody}/parameters`)).status).toBe(400);
  expect((await api.ask("reader", `GET /datastores/postgresql/versions/${nobody}/parameters`)).status).toBe(404);
  expect((await api.ask("reader", `GET /datastores/postgresql/versions/9/parameters`)).status).toBe(400);
  expect((await api.ask("reader", `GET /datastores/oracle/versions/9/parameters`)).status).toBe(404);
});

test("an administrator offers, changes and withdraws parameters, and groups are judged by it", async () => {
  const path = `/mgmt/datastores/versions/${version}/parameters`;
  const created = await api.ask("admin", `POST ${path}`, rule());
  const shown = { name: "auto_explain.log_min_duration", datastore_version_id: version, restart_required: false, type: "integer", max_size: 1000, min_size: -1 };
  expect([created.status, created.json]).toEqual([200, shown]);
  expect((await api.ask("admin", `POST ${path}`, rule())).status).toBe(400);
  expect((await api.ask("admin", `GET ${path}/auto_explain.log_min_duration`)).json).toEqual(shown);
  const values = { "auto_explain.log_min_duration": 1001 };
  const group = { body: { configuration: { name: "g", values } } };
  expect((await api.ask("member", "POST /configurations", group)).status).toBe(422);
  const changed = await api.ask("admin", `PUT ${path}/auto_explain.log_min_duration`, rule({ max_size: "2000", restart_required: 1 }));
  expect([changed.status, changed.json]).toEqual([200, { ...shown, max_size: 2000, restart_required: true }]);
  expect((await api.ask("member", "POST /configurations", group)).status).toBe(200);
  const gone = await api.ask("admin", `DELETE ${path}/auto_explain.log_min_duration`);
  expect([gone.status, gone.text]).toEqual([204, ""]);
  expect((await api.ask("admin", `DELETE ${path}/auto_explain.log_min_duration`)).status).toBe(400);
  expect((await api.ask("admin", `GET ${path}/auto_explain.log_min_duration`)).status).toBe(404);
  expect((await api.ask("admin", `PUT ${path}/auto_explain.log_min_duration`, rule())).status).toBe(404);
  expect((await api.ask("admin", `POST ${path}`, rule({ data_type: "string", max_size: undefined }))).status).toBe(200);
});

test.each<[string, Record<string, unknown>]>([
  ["true for restart_required", { restart_required: true }],
  ["an unknown type", { data_type: "list" }],
  ["no max_size", { max_size: undefined }],
  ["max below min", { max_size: -2 }],
  ["a name too long", { name: "x".repeat(129) }],
  ["a parameter that reaches the host", { name: "archive_command", data_type: "string" }],
  ["the same in capitals", { name: "Session_Preload_Libraries", data_type: "string" }],
])("an administrator's %s is a 400", async (_, change) => {
  expect((await api.ask("admin", `POST /mgmt/datastores/versions/${version}/parameters`, rule(change))).status).toBe(400);
});

test("members are kept out of the administrators' routes", async () => {
  expect((await api.ask("member", `GET /mgmt/datastores/versions/${version}/parameters`)).status).toBe(401);
});

test("the next start brings no withdrawn parameter back, and overrules no administrator", async () => {
  const path = `/mgmt/datastores/versions/${version}/parameters`;
  await api.ask("admin", `DELETE ${path}/geqo`);
  await api.ask("admin", `PUT ${path}/work_mem`, rule({ name: "work_mem", max_size: 9999, min_size: 64 }));
  await api.db.owner`delete from datastore_parameter where name = 'jit'`;
  await api.db.owner`update datastore_parameter set name = 'once_known' where name = 'geqo_seed'`;
  await api.asSystem(() => seedCatalogue(catalogue));
  expect((await api.ask("admin", `GET ${path}/geqo`)).status).toBe(404);
  expect((await api.ask("admin", `GET ${path}/work_mem`)).json).toMatchObject({ max_size: 9999 });
  expect((await api.ask("admin", `GET ${path}/jit`)).status).toBe(200);
  expect((await api.ask("admin", `GET ${path}/once_known`)).status).toBe(404);
});

test("the database itself lets no member change what is offered", async () => {
  const denied = api.db.owner.begin(async (sql) => {
    await sql`set local role coffer_app`;
    const seen = await sql`select 1 from datastore_parameter limit 1`;
    const changed = await sql`update datastore_parameter set max = 1 returning 1`;
    return [seen.length, changed.length];
  });
  expect(await denied).toEqual([1, 0]);
});
