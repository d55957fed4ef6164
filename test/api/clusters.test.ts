import { afterAll, beforeAll, expect, test } from "vitest";
import { nobody, startApi, type Api } from "#test/api/rig";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const good = { name: "c1", datastore: { type: "postgresql", version: "17" }, instances: [{ flavorRef: "1", volume: { size: 1 } }] };

test.each<[string, unknown, number]>([
  ["a datastore that forms none", { cluster: good }, 501],
  ["no name", { cluster: { ...good, name: undefined } }, 400],
  ["no datastore", { cluster: { ...good, datastore: undefined } }, 400],
  ["half a datastore", { cluster: { ...good, datastore: { type: "postgresql" } } }, 400],
  ["no members", { cluster: { ...good, instances: undefined } }, 400],
  ["a member without flavor", { cluster: { ...good, instances: [{ volume: { size: 1 } }] } }, 400],
  ["a locality that is no text", { cluster: { ...good, locality: 5 } }, 400],
  ["an unknown datastore", { cluster: { ...good, datastore: { type: "galera", version: "1" } } }, 404],
  ["an unknown version", { cluster: { ...good, datastore: { type: "postgresql", version: "9" } } }, 400],
  ["no envelope", good, 400],
])("a cluster of %s", async (_, body, status) => {
  const reply = await api.ask("member", "POST /clusters", { body });
  expect([reply.status, Object.keys(reply.json)]).toEqual([status, [status === 501 ? "notImplemented" : status === 404 ? "itemNotFound" : "badRequest"]]);
});

test.each<[unknown, number]>([
  [{ grow: [{ flavorRef: "1" }] }, 404],
  [{ shrink: [{ id: nobody }] }, 404],
  [{ upgrade: { datastore_version: "17" } }, 404],
  [{ "reset-status": { force_delete: true } }, 404],
  [{}, 400],
  [{ restart: {}, add_shard: {} }, 400],
  [{ dance: {} }, 400],
  [{ shrink: [] }, 400],
])("the action %j at a cluster that is not there answers %i", async (body, status) => {
  expect((await api.ask("member", `POST /clusters/${nobody}`, { body })).status).toBe(status);
});

test("lists are empty, and refuse a page that is none", async () => {
  expect((await api.ask("reader", "GET /clusters?limit=5")).text).toBe('{"clusters":[]}');
  expect((await api.ask("admin", "GET /mgmt/clusters?deleted=False")).text).toBe('{"clusters":[]}');
  for (const query of ["limit=0", "limit=x", "marker=x"]) expect((await api.ask("member", `GET /clusters?${query}`)).status).toBe(400);
});
