import { afterAll, beforeAll, expect, test } from "vitest";
import { like, nobody, startApi, type Api } from "#test/api/rig";

let api: Api;
let own: string;
let foreign: string;
let gone: string;
beforeAll(async () => {
  api = await startApi();
  own = await api.active({}, "member");
  foreign = await api.active({}, "other");
  gone = await api.create({}, "other");
  await api.put(gone, { deleted_at: new Date("2026-01-02T03:04:05Z") });
  await api.db.owner`insert into resource (instance_id, project_id, kind, name, external_id) values
    (${own}, 'p1', 'server', 's', 'server-1'), (${own}, 'p1', 'volume', 'v', 'volume-1')`;
});
afterAll(() => api.close());

const list = async (query: string) => (await api.ask("admin", `GET /mgmt/instances${query}`)).json.instances.map(({ id }) => id);

test("admins list instances of all projects, filtered by what the CLI sends", async () => {
  expect(new Set(await list(""))).toEqual(new Set([own, foreign, gone]));
  expect(new Set(await list("?include_clustered=False&deleted=False"))).toEqual(new Set([own, foreign]));
  expect(await list("?include_clustered=False&deleted=True")).toEqual([gone]);
  expect(await list("?include_clustered=False&project_id=p1&deleted=False")).toEqual([own]);
});

test("the list pages by offset, latest change first; a full page has a next one", async () => {
  const seen: string[] = [];
  let path = "/mgmt/instances?limit=1";
  for (let pages = 0; path; pages++) {
    const { json } = await api.ask("admin", `GET ${path}`, { headers: { host: "h" } });
    seen.push(...json.instances.map(({ id }) => id));
    path = json.links?.[0]?.href.replace("http://h/v1.0/ops", "") ?? "";
    expect(pages).toBeLessThan(5);
  }
  expect(new Set(seen)).toEqual(new Set([own, foreign, gone]));
  expect(seen).toHaveLength(3);
  for (const query of ["limit=0", "marker=x", "marker=-1", "limit=1e9"]) expect((await api.ask("admin", `GET /mgmt/instances?${query}`)).status).toBe(400);
});

test("show tells admins what members do not see", async () => {
  await api.put(own, { volume_used_bytes: 2 ** 29, volume_total_bytes: 2 ** 30 });
  const { instance } = (await api.ask("admin", `GET /mgmt/instances/${own}`)).json;
  expect(instance).toMatchObject({
    id: own,
    tenant_id: "p1",
    server_id: "server-1",
    volume_id: "volume-1",
    task_description: like(/./),
    service_status: "HEALTHY",
    deleted: false,
    deleted_at: null,
    server: { id: "server-1", status: "ACTIVE", tenant_id: "p1" },
    volume: { id: "volume-1", size: 1, used: 0.5, total: 1 },
    guest_status: { state_description: "healthy" },
    datastore: { type: "postgresql", version: "17", version_number: "17.10" },
  });
  expect((await api.ask("admin", `GET /mgmt/instances/${foreign}`)).json.instance).toMatchObject({ server: null, volume: null });
});

test("a deleted instance is found only when asked for", async () => {
  expect((await api.ask("admin", `GET /mgmt/instances/${gone}`)).status).toBe(404);
  const { instance } = (await api.ask("admin", `GET /mgmt/instances/${gone}?deleted=true`)).json;
  expect(instance).toMatchObject({ status: "SHUTDOWN", deleted: true, deleted_at: "2026-01-02T03:04:05" });
  expect((await api.ask("admin", `GET /mgmt/instances/${nobody}`)).status).toBe(404);
});
