import { afterAll, beforeEach, expect, test } from "vitest";
import { installedImageId } from "#core/datastore/image";
import { nameId } from "#core/datastore/seed";
import { seedCatalogue } from "#core/instance/catalogue";
import { catalogue, like, nobody, startApi, type Api } from "#test/api/rig";

let api: Api;
beforeEach(async () => {
  await api?.close();
  api = await startApi();
});
afterAll(() => api.close());

const image = installedImageId("postgresql", "17");
const good = { name: "lts", datastore_name: "postgresql", datastore_manager: "postgresql", version: "17.4", active: true, image_tags: [], packages: [], default: false, image };
const post = (change: object = {}) => api.ask("admin", "POST /mgmt/datastore-versions", { body: { version: { ...good, ...change } } });
type Shown = Record<string, unknown> & { id: string; name: string };
const list = async () => ((await api.ask("admin", "GET /mgmt/datastore-versions")).json as unknown as { versions: Shown[] }).versions;
const named = async (name: string) => (await list()).find((one) => one.name === name);
const patch = (id: string, body: object) => api.ask("admin", `PATCH /mgmt/datastore-versions/${id}`, { body });
const seventeen = nameId("postgresql", "17");

test("a version is created without a word, and can be ordered at once", async () => {
  const reply = await post({ registry_ext: "example.org/db", repl_strategy: "streaming", packages: ["a", "b"] });
  expect([reply.status, reply.text]).toEqual([202, ""]);
  expect(await named("lts")).toEqual({
    id: like(/./), name: "lts", version: "17.4", datastore_id: nameId("postgresql"), datastore_name: "postgresql", datastore_manager: "postgresql",
    image, image_tags: [""], packages: ["a", "b"], active: true, registry_ext: "example.org/db", repl_strategy: "streaming", default: false,
  });
  const created = await api.ask("member", "POST /instances", api.wish({ datastore: { type: "postgresql", version: "lts" } }));
  expect([created.status, created.json.instance.datastore]).toEqual([200, { type: "postgresql", version: "lts", version_number: "17.4" }]);
});

test("a datastore nobody knows is made with its first version, and its number is the name where none is given", async () => {
  expect((await post({ datastore_name: "elephant", name: "17", version: undefined, default: true })).status).toBe(202);
  const { datastore } = (await api.ask("member", "GET /datastores/elephant")).json as unknown as { datastore: { default_version: string; versions: object[] } };
  expect(datastore).toMatchObject({ name: "elephant", default_version: like(/-/), versions: [{ name: "17", version: "17" }] });
});

test.each<[string, object, number]>([
  ["an image nobody has", { image: nobody }, 400],
  ["an image of another line", { image: installedImageId("postgresql", "16") }, 400],
  ["tags no image has together", { image: undefined, image_tags: ["postgresql", "99"] }, 400],
  ["neither image nor tags", { image: undefined }, 400],
  ["neither, written as the CLI does", { image: undefined, image_tags: [""] }, 400],
  ["an image that is no id", { image: "latest" }, 400],
  ["six tags", { image_tags: ["a", "b", "c", "d", "e", "f"] }, 400],
  ["a tag twice", { image_tags: ["17", "17"] }, 400],
  ["a long tag", { image_tags: ["x".repeat(21)] }, 400],
  ["a package twice", { packages: ["a", "a"] }, 400],
  ["a manager nobody knows", { datastore_manager: "oracle" }, 400],
  ["an extra key", { visibility: "public" }, 400],
  ["no name", { name: undefined }, 400],
  ["no word on activity", { active: undefined }, 400],
  ["name and number of another", { name: "17", version: "17.10" }, 400],
])("a version with %s is refused", async (_, change, status) => {
  const before = await list();
  const reply = await post(change);
  expect([reply.status, Object.keys(reply.json)]).toEqual([status, ["badRequest"]]);
  expect(await list()).toEqual(before);
});

test("of the same version created several times at once one is accepted", async () => {
  const replies = await Promise.all(Array.from({ length: 5 }, () => post()));
  expect(replies.map(({ status }) => status).sort()).toEqual([202, 400, 400, 400, 400]);
});

test("a change sets what it names; tags without an image leave the choice to the tags", async () => {
  await post();
  const id = (await named("lts"))?.id ?? "";
  expect((await patch(id, { active: false, name: "old", packages: ["p"] })).status).toBe(202);
  expect(await named("old")).toMatchObject({ id, active: false, packages: ["p"], image });
  expect((await patch(id, { image_tags: ["postgresql", "17"] })).status).toBe(202);
  expect(await named("old")).toMatchObject({ image: "", image_tags: ["postgresql", "17"] });
  expect((await patch(id, {})).status).toBe(202);
  for (const body of [{ image: nobody }, { image_tags: ["x"] }, { image_tags: [] }, { datastore_manager: "mysql" }, { version: "1" }, { active: 1 }]) expect((await patch(id, body)).status, JSON.stringify(body)).toBe(400);
  expect((await patch(nobody, { active: true })).status).toBe(400);
});

test("the default pointer follows: set, cleared by its holder alone, gone with its version", async () => {
  await post();
  const id = (await named("lts"))?.id ?? "";
  const pointed = async () => (await list()).filter((one) => one.default).map(({ name }) => name);
  await patch(id, { default: false });
  expect(await pointed()).toEqual(["17"]);
  await patch(id, { default: true });
  expect(await pointed()).toEqual(["lts"]);
  await patch(id, { default: false });
  expect(await pointed()).toEqual([]);
  expect((await api.ask("member", "POST /instances", api.wish())).status).toBe(400);
  await patch(id, { default: true });
  expect((await api.ask("admin", `DELETE /mgmt/datastore-versions/${id}`)).status).toBe(202);
  expect(await pointed()).toEqual([]);
  expect((await api.ask("member", "GET /datastores/postgresql")).json.datastore).not.toHaveProperty("default_version");
});

test("a version is not deleted while an instance or a group has it, and its parameters go with it", async () => {
  const group = await api.ask("member", "POST /configurations", { body: { configuration: { name: "g", values: { max_connections: 50 } } } });
  const remove = () => api.ask("admin", `DELETE /mgmt/datastore-versions/${seventeen}`);
  expect([(await remove()).status, (await remove()).text]).toEqual([400, like(/configuration group/)]);
  await api.ask("member", `DELETE /configurations/${(group.json as unknown as { configuration: { id: string } }).configuration.id}`);
  const id = await api.active();
  expect([(await remove()).status, (await remove()).text]).toEqual([400, like(/an instance/)]);
  await api.put(id, { deleted_at: new Date() });
  expect((await remove()).status).toBe(202);
  expect((await api.ask("member", `GET /datastores/versions/${seventeen}/parameters`)).status).toBe(400);
  const [left] = await api.db.owner`select count(*)::int as count from datastore_parameter where datastore_version_id = ${seventeen} and deleted_at is null`;
  expect(left?.count).toBe(0);
  // What is gone can still be looked at.
  expect((await api.ask("admin", `GET /mgmt/instances/${id}?deleted=true`)).json.instance.datastore).toMatchObject({ version: "17" });
  expect((await remove()).status).toBe(400);
});

test("a datastore goes after its versions, is unknown then, and begins anew with the next version", async () => {
  const gone = () => api.ask("admin", "DELETE /datastores/postgresql");
  expect((await gone()).status).toBe(400);
  for (const { id } of await list()) expect((await api.ask("admin", `DELETE /mgmt/datastore-versions/${id}`)).status).toBe(202);
  expect((await gone()).status).toBe(202);
  expect([(await gone()).status, (await api.ask("admin", "GET /datastores")).json]).toEqual([404, { datastores: [] }]);
  // Nor does the next start bring it back.
  await api.asSystem(() => seedCatalogue(catalogue));
  expect((await api.ask("admin", "GET /datastores")).json).toEqual({ datastores: [] });
  expect((await post({ default: true })).status).toBe(202);
  expect((await list()).map(({ name }) => name)).toEqual(["lts"]);
});

test("what the catalogue says is nobody's to change but an administrator's, whatever a handler does", async () => {
  for (const [person, status] of [["member", 401], ["reader", 401]] as const) {
    expect((await api.ask(person, "POST /mgmt/datastore-versions", { body: { version: good } })).status).toBe(status);
  }
  expect((await api.ask("admin", `PATCH /mgmt/datastores/postgresql/versions/${seventeen}`, { body: { datastore_version: { visibility: "private" } } })).status).toBe(404);
});
