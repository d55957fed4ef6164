import { afterAll, beforeAll, expect, test } from "vitest";
import { nameId } from "#core/datastore/seed";
import { madeBackup } from "#test/api/backup-rig";
import { like, nobody, startApi, type Api, type Person, type Reply } from "#test/api/rig";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const call = { signal: new AbortController().signal };
const GB = 2 ** 30;
const container = (name = "database_backups", projectId = "p1") => ({ projectId, name });
const idOf = (reply: Reply) => (reply.json as unknown as { backup: { id: string } }).backup.id;

const made = (instance: string, change?: object) => madeBackup(api, instance, change);
const restore = (id: string, change: Record<string, unknown> = {}, person: Person = "member") => api.ask(person, "POST /instances", api.wish({ name: "restored", restorePoint: { backupRef: id }, ...change }));
const refused = async (reply: Promise<Reply>, status: number, text: RegExp) => {
  const { status: seen, text: said } = await reply;
  expect([seen, said]).toEqual([status, like(text)]);
};

test("an instance begins with a backup: its guest is told the chain, and the databases and users that were asked for", async () => {
  const instance = await api.active();
  const [root, child] = [await made(instance), await made(instance, { incremental: 1 })];
  const reply = await restore(child, { databases: [{ name: "more" }], users: [{ name: "bob", password: "secret" }] });
  expect(reply.status).toBe(200);
  const [job] = await api.jobs(reply.json.instance.id);
  const { restore: told, databases, users } = job?.spec as { restore: { chain: { backupId: string; place: object }[] }; databases: object[]; users: { name: string }[] };
  expect(told.chain.map(({ backupId, place }) => [backupId, place])).toEqual([root, child].map((id) => [id, { projectId: "p1", container: "database_backups", prefix: `backups/${id}` }]));
  expect([databases, users.map(({ name }) => name)]).toEqual([[{ name: "more" }], ["bob"]]);
});

test("what cannot be restored is refused in the contract's order and charges nothing", async () => {
  const instance = await api.active();
  const id = await made(instance);
  const before = await api.usage();
  const set = (change: Record<string, string | number>) => api.db.owner`update backup set ${api.db.owner(change)} where id = ${id}`;
  const wrong = { datastore: { type: "postgresql", version: "16" } };
  // All at once; then one cause after the other is taken away.
  await set({ state: "FAILED", data_bytes: 3 * GB });
  await api.objects.remove(container(), `backups/${id}/manifest`, call);
  await refused(restore(nobody, wrong), 404, /Backup .* cannot be found/);
  await refused(restore(id, wrong, "other"), 404, /Backup .* cannot be found/);
  await refused(restore(id, { ...wrong, volume: { size: 11 } }), 413, /10 GB/);
  for (const state of ["FAILED", "NEW", "BUILDING", "SAVING"]) {
    await set({ state });
    await refused(restore(id, wrong), 409, new RegExp(`status is ${state}`));
  }
  await set({ state: "COMPLETED" });
  await refused(restore(id, wrong), 403, /needs 3\.00 GB, and the volume has 1 GB/);
  await set({ data_bytes: GB });
  await refused(restore(id, wrong), 404, /is stored of backup .* cannot be found/);
  await api.objects.put(container(), `backups/${id}/manifest`, (async function* () { yield Buffer.from("another"); })(), {}, call);
  await refused(restore(id, wrong), 409, /not what was stored/);
  await api.objects.put(container(), `backups/${id}/manifest`, (async function* () { yield Buffer.from(`manifest of ${id}`); })(), {}, call);
  await refused(restore(id, wrong), 400, /is of postgresql 17\.10, and the new instance would be 16\.14/);
  expect(await api.usage()).toEqual(before);
  expect((await restore(id)).status).toBe(200);
});

test("data goes into the same release or a later one of its line, not back, and into no other datastore", async () => {
  const instance = await api.active();
  const id = await made(instance);
  const version = async (name: string, number: string, store = "postgresql") => {
    await api.db.owner`insert into datastore (id, name, manager) values (${nameId(store, "store")}, ${store}, 'postgresql') on conflict do nothing`;
    await api.db.owner`insert into datastore_version (id, datastore_id, name, version, manager) select ${nameId(store, name)}, id, ${name}, ${number}, 'postgresql' from datastore where name = ${store}`;
  };
  await version("17-old", "17.9");
  await version("17-new", "17.11");
  await version("17", "17.10", "other");
  await refused(restore(id, { datastore: { type: "postgresql", version: "17-old" } }), 400, /17\.9/);
  await refused(restore(id, { datastore: { type: "postgresql", version: "18" } }), 400, /18\.4/);
  await refused(restore(id, { datastore: { type: "other", version: "17" } }), 400, /is of datastore 'postgresql'/);
  expect((await restore(id, { datastore: { type: "postgresql", version: "17-new" } })).status).toBe(200);
});

test("a chain with a hole is refused: an increment alone is worth nothing", async () => {
  const instance = await api.active();
  const [root, child] = [await made(instance), await made(instance, { incremental: 1 })];
  await api.objects.remove(container(), `backups/${root}/manifest`, call);
  await refused(restore(child), 404, new RegExp(root));
});

test("an administrator restores any project's backup", async () => {
  const id = await made(await api.active());
  expect((await restore(id, {}, "admin")).status).toBe(200);
});

test("what is stored is registered by its address, RESTORED at once, restored like the one it is of, and stays when it is deleted", async () => {
  const instance = await api.active();
  const id = await made(instance);
  const { locationRef } = ((await api.ask("member", `GET /backups/${id}`)).json as unknown as { backup: { locationRef: string } }).backup;
  const register = (location: string, person: Person = "member") =>
    api.ask(person, "POST /backups", { body: { backup: { name: "again", restore_from: { remote_location: location, local_datastore_version_id: nameId("postgresql", "17"), size: 0.5 } } } });
  const before = await api.usage();
  await refused(register(locationRef, "other"), 400, /another project's account/);
  await refused(register(locationRef.replace("AUTH_p1", "AUTH_p2"), "other"), 400, /nothing is stored there/);
  await refused(register(locationRef.replace(id, nobody)), 400, /nothing is stored there/);
  await refused(register("http://elsewhere/v1/AUTH_p1/a/b/manifest"), 400, /no address/);
  await api.objects.put(container(), "mine/manifest", (async function* () { yield Buffer.from("x"); })(), {}, call);
  await refused(register("http://objects/v1/AUTH_p1/database_backups/mine/manifest"), 400, /key .* is not known/);
  expect(await api.usage()).toEqual(before);
  const reply = await register(locationRef);
  expect([reply.status, reply.json.backup]).toMatchObject([202, { status: "RESTORED", instance_id: null, size: 0.5, parent_id: null, locationRef }]);
  expect(await api.usage()).toMatchObject({ backups: (before.backups ?? 0) + 1 });
  const again = idOf(reply);
  const restored = await restore(again);
  const [job] = await api.jobs(restored.json.instance.id);
  expect((job?.spec as { restore: { chain: object[] } }).restore.chain).toMatchObject([{ backupId: id }]);
  expect((await api.ask("member", `DELETE /backups/${again}`)).status).toBe(202);
  expect((await api.db.owner`select clean_at from backup where id = ${again}`)[0]).toEqual({ clean_at: null });
});

test("a moment is asked for by instance or backup; half of it is refused, and the window is shown on the instance", async () => {
  const instance = await api.active();
  expect((await api.ask("member", `GET /instances/${instance}`)).json.instance).not.toHaveProperty("point_in_time");
  const id = await made(instance);
  const stopped = new Date("2026-01-01T10:00:00Z");
  await api.db.owner`update backup set stopped_at = ${stopped}, system_identifier = '7' where id = ${id}`;
  const reach = { systemIdentifier: "7", timeline: 1, earliest: "2026-01-01T09:00:00Z", latest: "2026-01-01T11:00:00Z", gaps: [], pendingBytes: 3 };
  await api.db.owner`insert into wal_archive (instance_id, project_id, granted_until, prune_at, reach) values (${instance}, 'p1', now(), now(), ${api.db.owner.json(reach)})`;
  expect((await api.ask("member", `GET /instances/${instance}`)).json.instance.point_in_time).toEqual({ earliest: "2026-01-01T10:00:00", latest: "2026-01-01T11:00:00", gaps: [], pending_bytes: 3 });
  const ask = (restorePoint: object, person: Person = "member") => api.ask(person, "POST /instances", api.wish({ restorePoint }));
  for (const targetTime of ["2026-01-01T10:30:00", "2026-01-01T10:30:00Z", "2026-01-01T11:30:00+01:00"]) {
    const reply = await ask({ instance, targetTime });
    expect(reply.status, reply.text).toBe(200);
    const [job] = await api.jobs(reply.json.instance.id);
    expect((job?.spec as { restore: object }).restore).toMatchObject({ chain: [{ backupId: id }], until: { time: "2026-01-01T10:30:00.000Z" } });
  }
  expect((await ask({ backupRef: id, targetTime: "2026-01-01T10:30:00Z" })).status).toBe(200);
  await refused(ask({ instance, targetTime: "2026-01-01T11:00:01Z" }), 400, /reaches to 2026-01-01T11:00:00Z/);
  await refused(ask({ instance, targetTime: "2026-01-01T09:30:00Z" }), 400, /first backup ended at 2026-01-01T10:00:00/);
  await refused(ask({ instance, targetTime: "2026-01-01T10:30:00Z" }, "other"), 404, /Instance/);
  for (const wrong of [{}, { instance }, { targetTime: "2026-01-01T10:30:00Z" }, { instance, targetTime: "soon" }, { backupRef: id, instance }]) expect((await ask(wrong)).status, JSON.stringify(wrong)).toBe(400);
});
