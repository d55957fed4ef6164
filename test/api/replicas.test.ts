import { afterAll, beforeAll, expect, test } from "vitest";
import { nobody, startApi, type Api, type Person } from "#test/api/rig";

/** Replica sets as the API shows and gates them: contract §2.1, §2.2, §3.4, §6.4 to §6.9. */
let api: Api;
beforeAll(async () => {
  api = await startApi({ settings: { COFFER_MAX_INSTANCES: "200" } });
});
afterAll(() => api.close());

const act = (id: string, body: unknown, person: Person = "member") => api.ask(person, `POST /instances/${id}/action`, { body });
const create = (change: Record<string, unknown>, person: Person = "member") => api.ask(person, "POST /instances", { body: { instance: { name: "copy", ...change } } });
const shown = async (id: string) => (await api.ask("member", `GET /instances/${id}`)).json.instance;
const running = async (id: string) => (await api.db.owner`select kind, input from operation where instance_id = ${id} and outcome is null`).map((row) => ({ ...row }));
/** Whatever runs at these has ended, and they serve. */
async function serve(...ids: string[]) {
  for (const id of ids) {
    await api.db.owner`update operation set outcome = 'done', finished_at = now() where instance_id = ${id} and outcome is null`;
    await api.put(id, { task: "NONE", server_state: "ACTIVE", service_status: "healthy", service_status_at: new Date(), address: "127.1.2.3", port: 5432 });
  }
}
/** A source with as many replicas, all of them serving. */
async function set(count: number): Promise<[string, ...string[]]> {
  const source = await api.active();
  if (count > 0) await create({ replica_of: source, replica_count: count });
  const replicas = (await api.db.owner<{ id: string }[]>`select id from instance where replica_of = ${source} order by created_at, name`).map(({ id }) => id);
  await serve(source, ...replicas);
  return [source, ...replicas];
}

test("three replicas have the source's shape and names of their own; every one is charged, and the last one is the answer", async () => {
  const source = await api.active({ volume: { size: 2 } });
  const before = await api.usage();
  const reply = await create({ replica_of: source, replica_count: 3 });
  expect([reply.status, reply.json.instance.name, reply.json.instance.status]).toEqual([200, "copy-3", "BUILD"]);
  expect(reply.json.instance).toMatchObject({ replica_of: { id: source }, flavor: { id: "1" }, volume: { size: 2 }, datastore: { version: "17" } });
  const after = await api.usage();
  expect([(after.instances ?? 0) - (before.instances ?? 0), (after.volumes ?? 0) - (before.volumes ?? 0)]).toEqual([3, 6]);
  const { replicas } = await shown(source);
  expect(replicas).toHaveLength(3);
  const names: unknown[] = [];
  for (const { id, links } of replicas as { id: string; links: { href: string }[] }[]) {
    names.push((await shown(id)).name);
    expect(links[0]?.href).toMatch(new RegExp(`/v1.0/p1/instances/${id}$`));
    expect(await running(id)).toEqual([{ kind: "create_replica", input: { sourceId: source } }]);
    // What it takes to be let in comes later, sealed: no job waits with it.
    expect(await api.jobs(id)).toEqual([]);
  }
  expect(names).toEqual(["copy-1", "copy-2", "copy-3"]);
  expect(await shown(source)).not.toHaveProperty("replica_of");
});

test.each<[string, Record<string, unknown>, number, RegExp]>([
  ["with a flavor", { flavorRef: "1" }, 400, /'flavorRef' cannot be given/],
  ["with a volume", { volume: { size: 1 } }, 400, /'volume' cannot be given/],
  ["with a datastore", { datastore: { type: "postgresql" } }, 400, /'datastore' cannot be given/],
  ["with databases", { databases: [{ name: "app" }] }, 400, /'databases' cannot be given/],
  ["with users", { users: [{ name: "ann", password: "x" }] }, 400, /'users' cannot be given/],
  ["with a locality", { locality: "affinity" }, 400, /'locality' cannot be given/],
  ["with a fixed address", { nics: [{ network_id: nobody, subnet_id: nobody, ip_address: "10.0.0.1" }] }, 400, /fixed ip_address/],
  ["with an unknown group", { configuration: nobody }, 404, /Configuration group/],
  ["with modules", { modules: [{ id: nobody }] }, 400, /'modules' cannot be given/],
  ["four at once", { replica_count: 4 }, 400, /4 is greater than the maximum of 3/],
  ["elsewhere", { region_name: "Mars" }, 400, /Region 'Mars'/],
])("a replica %s is refused and leaves nothing", async (_, change, status, text) => {
  const [source] = await set(0);
  const before = await api.usage();
  const reply = await create({ replica_of: source, ...change });
  expect([reply.status, reply.text]).toEqual([status, expect.stringMatching(text)]);
  expect(await api.usage()).toEqual(before);
  expect(await shown(source)).not.toHaveProperty("replicas");
});

test("whom a replica may follow: neither nobody nor a stranger (404), nor a replica (401), nor one that is busy (422)", async () => {
  const [source, replica = ""] = await set(1);
  expect((await create({ replica_of: nobody })).status).toBe(404);
  expect((await create({ replica_of: source }, "other")).status).toBe(404);
  expect([(await create({ replica_of: replica })).status, (await create({ replica_of: replica })).text]).toEqual([401, expect.stringMatching(/is a replica itself/)]);
  // What belongs to replicas only comes first, and the source's readiness after the region.
  expect((await create({ replica_of: nobody, flavorRef: "1" })).status).toBe(400);
  await api.put(source, { task: "REBOOTING" });
  expect((await create({ replica_of: source, region_name: "Mars" })).status).toBe(400);
  expect((await create({ replica_of: source })).status).toBe(422);
});

test("a replica beyond the quota is refused with 413, all of a request or none", async () => {
  const [source] = await set(0);
  const used = (await api.usage()).instances ?? 0;
  await api.db.owner`insert into quota (project_id, resource, hard_limit) values ('p1', 'instances', ${used + 2}) on conflict (project_id, resource) do update set hard_limit = excluded.hard_limit`;
  expect((await create({ replica_of: source, replica_count: 3 })).status).toBe(413);
  expect((await api.usage()).instances).toBe(used);
  expect(await shown(source)).not.toHaveProperty("replicas");
  await api.db.owner`delete from quota where project_id = 'p1' and resource = 'instances'`;
});

test("a replica is backed up with its source: asked for by itself it is refused, and nothing is begun or charged", async () => {
  const [source, replica = ""] = await set(1);
  const before = await api.usage();
  const reply = await api.ask("member", "POST /backups", { body: { backup: { name: "b", instance: replica } } });
  expect([reply.status, reply.text]).toEqual([400, expect.stringMatching(`Back up instance ${source}`)]);
  expect([(await shown(replica)).status, await running(replica)]).toEqual(["ACTIVE", []]);
  expect(await api.usage()).toEqual(before);
  expect((await api.ask("member", "POST /backups", { body: { backup: { name: "b", instance: source } } })).status).toBe(202);
});

test("a source is deleted only after its replicas", async () => {
  const [source, replica = ""] = await set(1);
  const reply = await api.ask("member", `DELETE /instances/${source}`);
  expect([reply.status, reply.text]).toEqual([403, expect.stringMatching(/has replicas/)]);
  expect(await running(source)).toEqual([]);
  expect((await api.ask("member", `DELETE /instances/${replica}`)).status).toBe(202);
  expect((await api.ask("member", `DELETE /instances/${source}`)).status).toBe(202);
});

test("what the data of a replica holds is changed at its source", async () => {
  const [, replica = ""] = await set(1);
  const { id } = (await api.db.owner`insert into guest (instance_id, project_id, generation) select id, project_id, generation from instance where id = ${replica} returning instance_id as id`)[0] as { id: string };
  const reply = await api.ask("member", `POST /instances/${id}/databases`, { body: { databases: [{ name: "more" }] } });
  expect([reply.status, reply.text]).toEqual([422, expect.stringMatching(/is a replica, and read-only/)]);
  expect(await api.jobs(id)).toEqual([]);
});

test("a promotion shows PROMOTE at the whole set, and nothing else begins there meanwhile", async () => {
  const [source, first = "", second = ""] = await set(2);
  expect((await act(source, { promote_to_replica_source: {} })).text).toMatch(/is not a replica/);
  expect((await act(second, { promote_to_replica_source: null })).status).toBe(202);
  expect(await running(second)).toEqual([{ kind: "promote_replica", input: { sourceId: source, memberIds: [first] } }]);
  for (const id of [source, first, second]) {
    expect((await shown(id)).status).toBe("PROMOTE");
    expect((await act(id, { restart: {} })).status).toBe(422);
    expect((await api.ask("member", `DELETE /instances/${id}`)).status).toBe(id === source ? 403 : 422);
  }
  expect((await create({ replica_of: source })).status).toBe(422);
  expect((await api.ask("admin", `POST /mgmt/instances/${first}/action`, { body: { reboot: {} } })).status).toBe(422);
});

test("a set with something under way anywhere is neither promoted nor detached from", async () => {
  const [source, first = "", second = ""] = await set(2);
  expect((await act(first, { restart: {} })).status).toBe(202);
  expect((await act(second, { promote_to_replica_source: {} })).text).toMatch(/an operation runs at instance/);
  expect((await api.ask("member", `PUT /instances/${second}`, { body: { instance: { replica_of: "" } } })).status).toBe(422);
  await serve(source, first, second);
  await api.put(source, { service_status: "unknown" });
  expect((await act(second, { promote_to_replica_source: {} })).status).toBe(422);
});

test.each(["PUT replica_of", "PATCH slave_of"])("%s detaches, whatever its value", async (how) => {
  const [method = "", key = ""] = how.split(" ");
  const [source, replica = ""] = await set(1);
  expect((await api.ask("member", `${method} /instances/${replica}`, { body: { instance: { [key]: null } } })).status).toBe(202);
  expect((await shown(replica)).status).toBe("DETACH");
  expect(await running(replica)).toEqual([{ kind: "detach_replica", input: { sourceId: source } }]);
});

test("a source is ejected only once it has been silent for long enough", async () => {
  const [source, first = "", second = ""] = await set(2);
  const early = await act(source, { eject_replica_source: {} });
  expect([early.status, early.text]).toEqual([400, expect.stringMatching(/is not ejected before it has been silent for 90/)]);
  expect((await act(first, { eject_replica_source: {} })).text).toMatch(/has no replicas/);
  await api.put(source, { service_status_at: new Date(Date.now() - 91_000) });
  expect((await act(source, { eject_replica_source: {} })).status).toBe(202);
  expect(await running(source)).toEqual([{ kind: "eject_source", input: { sourceId: source, memberIds: [first, second].sort() } }]);
  expect([(await shown(source)).status, (await shown(first)).status, (await shown(second)).status]).toEqual(["EJECT", "EJECT", "EJECT"]);
});

test("a volume grows with those of all replicas, or not at all", async () => {
  const [source, first = "", second = ""] = await set(2);
  const before = (await api.usage()).volumes ?? 0;
  await api.put(second, { task: "REBOOTING" });
  expect((await act(source, { resize: { volume: { size: 3 } } })).status).toBe(422);
  expect([await running(source), (await api.usage()).volumes]).toEqual([[], before]);
  await serve(second);
  expect((await act(source, { resize: { volume: { size: 3 } } })).status).toBe(202);
  for (const id of [source, first, second]) expect([(await shown(id)).status, await running(id)]).toEqual(["RESIZE", [{ kind: "resize_volume", input: { volumeGb: 3 } }]]);
  expect((await api.usage()).volumes).toBe(before + 6);
});

test("how far a member is shows as its guest last said, and only at members", async () => {
  const [source, replica = ""] = await set(1);
  await api.db.owner`insert into guest (instance_id, project_id, generation) select id, project_id, generation from instance where id = ${replica}`;
  await api.db.owner`update guest set position_at = '2026-01-02T03:04:05Z', position = ${api.db.owner.json({ role: "replica", timeline: 2, received: "0/5000060", replayed: "0/5000000", streaming: true, lagBytes: 96, lagSeconds: 1.234 })} where instance_id = ${replica}`;
  expect((await shown(replica)).replication).toEqual({ role: "replica", timeline: 2, received: "0/5000060", replayed: "0/5000000", connected: true, lag_bytes: 96, lag_seconds: 1.23, seen: "2026-01-02T03:04:05" });
  expect(await shown(source)).not.toHaveProperty("replication");
});
