import { afterAll, beforeAll, expect, test } from "vitest";
import { installedImageId } from "#core/datastore/image";
import { nameId } from "#core/datastore/seed";
import { seedCatalogue } from "#core/instance/catalogue";
import { movableClock } from "#test/support/clock";
import { catalogue, nobody, startApi, type Api } from "#test/api/rig";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const store = nameId("postgresql");
const version = (name: string) => nameId("postgresql", name);
const get = (path: string, person: "member" | "admin" = "member") => api.ask(person, `GET ${path}`, { headers: { host: "h" } });

test("datastores show their active versions and the default, which is one of them", async () => {
  const nested = (name: string, number: string) => ({
    id: version(name),
    name,
    version: number,
    links: [
      { href: `http://h/v1.0/p1/datastores/versions/${version(name)}`, rel: "self" },
      { href: `http://h/datastores/versions/${version(name)}`, rel: "bookmark" },
    ],
  });
  const postgresql = {
    id: store,
    name: "postgresql",
    default_version: version("17"),
    links: [
      { href: `http://h/v1.0/p1/datastores/${store}`, rel: "self" },
      { href: `http://h/datastores/${store}`, rel: "bookmark" },
    ],
    versions: [nested("16", "16.14"), nested("17", "17.10"), nested("18", "18.4")],
  };
  expect((await get("/datastores")).json).toEqual({ datastores: [postgresql] });
  for (const word of ["postgresql", store, store.toUpperCase()]) expect((await get(`/datastores/${word}`)).json).toEqual({ datastore: postgresql });
  expect((await get("/datastores/postgresql/versions")).json).toEqual({ versions: postgresql.versions.map((one) => ({ ...one, datastore: store })) });
});

test("a version is found by name or id, with more for admins", async () => {
  const plain = (await get("/datastores/postgresql/versions/17")).json;
  expect(plain).toMatchObject({ version: { id: version("17"), name: "17", version: "17.10", datastore: store } });
  for (const path of [`/datastores/${store}/versions/${version("17")}`, `/datastores/versions/${version("17")}`]) expect((await get(path)).json).toEqual(plain);
  const full = (await get("/datastores/postgresql/versions/17", "admin")).json;
  expect(full).toMatchObject({ version: { active: true, packages: null, image: installedImageId("postgresql", "17"), image_tags: [], registry_ext: "", repl_strategy: "" } });
});

test.each<[string, number]>([
  ["/datastores/oracle", 404],
  ["/datastores/oracle/versions", 404],
  ["/datastores/oracle/versions/17", 404],
  ["/datastores/postgresql/versions/9", 400],
  [`/datastores/postgresql/versions/${nobody}`, 404],
  ["/datastores/versions/17", 400],
  [`/datastores/versions/${nobody}`, 400],
  ["/datastores/postgresql/versions/9/flavors", 400],
  ["/flavors/99", 404],
])("GET %s answers %i", async (path, status) => {
  expect((await get(path)).status).toBe(status);
});

test("flavors carry a number where the id is one, and always a string", async () => {
  await api.asSystem(() => seedCatalogue({ flavors: [{ id: "m1.small", name: "big", ramMb: 4096, vcpus: 4 }], datastores: [] }));
  const { flavors } = (await get("/flavors")).json as unknown as { flavors: object[] };
  expect(flavors).toHaveLength(4);
  expect(flavors[0]).toEqual({
    id: 1, str_id: "1", name: "tiny", ram: 512, vcpus: 1, disk: 0, ephemeral: 0, local_storage: 0,
    links: [{ href: "http://h/v1.0/p1/flavors/1", rel: "self" }, { href: "http://h/flavors/1", rel: "bookmark" }],
  });
  expect((await get("/flavors/m1.small")).json).toMatchObject({ flavor: { id: null, str_id: "m1.small" } });
  expect((await get(`/datastores/postgresql/versions/${version("17")}/flavors`)).json).toEqual({ flavors });
  expect((await get("/datastores/postgresql/versions/17/volume-types")).json).toEqual({ volume_types: [] });
});

test("seeding again changes nothing an admin changed, brings numbers up to date and keeps ids", async () => {
  await api.db.owner`update datastore set default_version_id = ${version("16")}`;
  await api.db.owner`update datastore_version set active = false where name = '18'`;
  const [postgresql] = catalogue.datastores;
  const versions = (postgresql?.versions ?? []).map((one) => (one.name === "17" ? { ...one, version: "17.11" } : one));
  await api.asSystem(() => seedCatalogue({ ...catalogue, datastores: [{ name: "postgresql", manager: "postgresql", versions }] }));
  const { datastore } = (await get("/datastores/postgresql")).json as unknown as { datastore: { versions: { id: string; version: string }[] } };
  expect(datastore).toMatchObject({ id: store, default_version: version("16") });
  expect(datastore.versions.map((one) => [one.id, one.version])).toEqual([[version("16"), "16.14"], [version("17"), "17.11"]]);
});

test("an inactive version is hidden from lists, can be shown, and cannot be ordered", async () => {
  expect((await get("/datastores/postgresql/versions/18")).status).toBe(200);
  expect((await get("/datastores", "admin")).text).toContain(version("18"));
  const order = (datastore: object) => api.ask("member", "POST /instances", api.wish({ datastore }));
  expect((await order({ version: "18" })).status).toBe(400);
  expect((await order({ type: store, version: version("17") })).status).toBe(200);
});

test("a create goes by a catalogue that is as old as the setting allows at most", async () => {
  const clock = movableClock(new Date());
  const other = await startApi({ settings: { COFFER_CATALOGUE_MS: "1000" }, deps: { clock } });
  const order = async () => (await other.ask("member", "POST /instances", other.wish({ datastore: { type: "postgresql", version: "18" } }))).status;
  expect(await order()).toBe(200);
  await other.db.owner`update datastore_version set active = false where name = '18'`;
  clock.advance(999);
  expect(await order()).toBe(200);
  clock.advance(1);
  expect(await order()).toBe(400);
  await other.close();
});

test("a name with several numbers needs the number", async () => {
  await api.db.owner`insert into datastore_version (id, datastore_id, name, version, manager) values (${nobody}, ${store}, '17', '17.99', 'postgresql')`;
  const order = (datastore: object) => api.ask("member", "POST /instances", api.wish({ datastore }));
  expect((await order({ type: "postgresql", version: "17" })).status).toBe(400);
  const reply = await order({ type: "postgresql", version: "17", version_number: "17.99" });
  expect(reply.json).toMatchObject({ instance: { datastore: { version_number: "17.99" } } });
});

test("a datastore without an active version is shown to admins only", async () => {
  await api.db.owner`update datastore_version set active = false`;
  expect((await get("/datastores")).json).toEqual({ datastores: [] });
  expect((await get("/datastores", "admin")).text).toContain(store);
});
