import { afterAll, beforeAll, expect, test } from "vitest";
import { like, startApi, type Api } from "#test/api/rig";

let api: Api;
beforeAll(async () => {
  api = await startApi({ settings: { COFFER_MAX_INSTANCES: "10", COFFER_MAX_VOLUMES_GB: "40", COFFER_HTTP_RATE_PER_MINUTE: "200" } });
});
afterAll(() => api.close());

const set = (quotas: unknown, project = "p1") => api.ask("admin", `PUT /mgmt/quotas/${project}`, { body: { quotas } });
const post = (size = 1) => api.ask("member", "POST /instances", api.wish({ volume: { size } }));

test("quotas are a list with use and limit; a change answers what it changed", async () => {
  const own = await api.ask("other", "GET /mgmt/quotas/p2");
  expect([own.status, own.json]).toEqual([
    200,
    {
      quotas: [
        { resource: "instances", in_use: 0, reserved: 0, limit: 10 },
        { resource: "ram", in_use: 0, reserved: 0, limit: -1 },
        { resource: "volumes", in_use: 0, reserved: 0, limit: 40 },
        { resource: "backups", in_use: 0, reserved: 0, limit: 50 },
      ],
    },
  ]);
  const changed = await set({ instances: 3, ram: null }, "p2");
  expect([changed.status, changed.json]).toEqual([200, { quotas: { instances: 3 } }]);
  expect((await api.ask("admin", "GET /mgmt/quotas/p2")).json.quotas).toContainEqual({ resource: "instances", in_use: 0, reserved: 0, limit: 3 });
});

test.each<[unknown, number]>([
  [{ quotas: { instances: -2 } }, 400],
  [{ quotas: { instances: "many" } }, 400],
  [{ quotas: { instances: 3_000_000_000 } }, 400],
  [{ quotas: { unicorns: 1 } }, 404],
  [{ quotas: null }, 400],
  [{}, 400],
])("PUT quotas %j answers %i and changes nothing", async (body, status) => {
  const before = (await api.ask("admin", "GET /mgmt/quotas/p9")).json;
  expect((await api.ask("admin", "PUT /mgmt/quotas/p9", { body })).status).toBe(status);
  expect((await api.ask("admin", "GET /mgmt/quotas/p9")).json).toEqual(before);
});

test("concurrent creates at the limit: exactly the allowed number succeed", async () => {
  await set({ instances: 5 });
  const replies = await Promise.all(Array.from({ length: 20 }, () => post()));
  expect(replies.filter(({ status }) => status === 200)).toHaveLength(5);
  const refused = replies.filter(({ status }) => status !== 200);
  expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([413]));
  expect(refused[0]?.json).toEqual({ overLimit: { code: 413, message: like(/\['instances'\]/) } });
  const [stored] = await api.db.owner`select count(*)::int as count from instance where project_id = 'p1'`;
  expect([stored?.count, await api.usage()]).toEqual([5, { instances: 5, ram: 5 * 512, volumes: 5 }]);
});

test("a refusal names every resource that is exceeded and takes nothing of the others", async () => {
  await set({ instances: 5, volumes: 6, ram: 0 });
  const before = await api.usage();
  const reply = await post(4);
  expect([reply.status, reply.text]).toEqual([413, like(/\['instances', 'ram', 'volumes'\]/)]);
  expect(await api.usage()).toEqual(before);
  await set({ instances: -1, ram: -1, volumes: 40 });
  expect((await post(4)).status).toBe(200);
});

test("deletes and creates at the limit at once never pass it, and nothing is lost", async () => {
  await set({ instances: 8, volumes: 40 });
  const ids = (await api.db.owner<{ id: string }[]>`select id from instance where project_id = 'p1' and desired = 'present'`).map(({ id }) => id);
  for (const id of ids) await api.put(id, { task: "NONE", server_state: "ACTIVE" });
  await Promise.all([
    ...ids.map((id) => api.ask("member", `DELETE /instances/${id}`)),
    ...ids.map((id) => api.ask("member", `DELETE /instances/${id}`)),
    ...Array.from({ length: 12 }, () => post()),
  ]);
  const [real] = await api.db.owner`select count(*)::int as instances, sum(volume_gb)::int as volumes from instance where project_id = 'p1' and desired = 'present'`;
  expect(await api.usage()).toMatchObject({ instances: real?.instances as number, volumes: real?.volumes as number });
  expect(real?.instances).toBeLessThanOrEqual(8);
});

test("limits begin with the absolute ones, as clients take the first entry to be", async () => {
  const { limits } = (await api.ask("other", "GET /limits")).json as unknown as { limits: Record<string, unknown>[] };
  expect(limits[0]).toEqual({ verb: "ABSOLUTE", max_instances: 3, max_ram: -1, max_volumes: 40, max_backups: 50 });
  expect(limits.slice(1).map(({ verb }) => verb)).toEqual(["POST", "PUT", "DELETE", "GET"]);
  expect(limits.at(-1)).toEqual({ verb: "GET", uri: "*", regex: ".*", value: 200, unit: "MINUTE", remaining: expect.any(Number) as number, nextAvailable: like(/T[\d:]{8}Z$/) });
});
