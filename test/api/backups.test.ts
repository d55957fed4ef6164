import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nameId } from "#core/datastore/seed";
import { completeBackup, madeBackup } from "#test/api/backup-rig";
import { like, nobody, startApi, type Api, type Person, type Reply } from "#test/api/rig";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

interface Shown extends Record<string, unknown> {
  id: string;
  status: string;
  parent_id: string | null;
}
const backupOf = (reply: Reply) => (reply.json as unknown as { backup: Shown }).backup;
const listOf = (reply: Reply) => (reply.json as unknown as { backups: Shown[] }).backups;
const strategiesOf = (reply: Reply) => (reply.json as unknown as { backup_strategies: object[] }).backup_strategies;
const post = (instance: string | undefined, change: object = {}, person: Person = "member") => api.ask(person, "POST /backups", { body: { backup: { name: "nightly", ...(instance && { instance }), ...change } } });
const remove = (id: string, person: Person = "member") => api.ask(person, `DELETE /backups/${id}`);
const show = async (id: string, person: Person = "member") => backupOf(await api.ask(person, `GET /backups/${id}`));
const statusOf = async (id: string) => (await api.ask("member", `GET /instances/${id}`)).json.instance.status;
const used = async (project = "p1") => (await api.usage(project)).backups ?? 0;

const complete = (id: string, set?: Record<string, string | number>) => completeBackup(api, id, set);
const made = (instance: string, change?: object) => madeBackup(api, instance, change);

test("a backup is NEW at once, its instance BACKUP and healthy, one operation begun and one backup charged", async () => {
  const instance = await api.active();
  const before = await used();
  const reply = await post(instance, { description: "of the day", incremental: 0, storage_driver: "swift" });
  expect(reply.status).toBe(202);
  const one = backupOf(reply);
  expect(one).toMatchObject({ name: "nightly", description: "of the day", instance_id: instance, status: "NEW", size: null, parent_id: null, locationRef: null, project_id: "p1" });
  expect(one.datastore).toEqual({ type: "postgresql", version: "17", version_id: nameId("postgresql", "17") });
  const shown = (await api.ask("member", `GET /instances/${instance}`)).json.instance;
  expect([shown.status, shown.operating_status]).toEqual(["BACKUP", "HEALTHY"]);
  expect(await api.db.owner`select kind, input from operation where instance_id = ${instance} and outcome is null`).toEqual([{ kind: "backup", input: { backupId: one.id } }]);
  expect(await used()).toBe(before + 1);
  await complete(one.id);
  expect(await statusOf(instance)).toBe("ACTIVE");
  expect(await show(one.id)).toMatchObject({ status: "COMPLETED", size: 0.5, stored_size: 0.06, locationRef: `http://objects/v1/AUTH_p1/database_backups/backups/${one.id}/manifest` });
});

test("while a backup runs gate A refuses everything, with its word, and a second backup", async () => {
  const instance = await api.active();
  await post(instance);
  const before = await used();
  for (const body of [{ restart: {} }, { resize: { volume: { size: 2 } } }, { resize: { flavorRef: "2" } }, { promote_to_replica_source: {} }]) {
    const reply = await api.ask("member", `POST /instances/${instance}/action`, { body });
    expect([reply.status, reply.text]).toEqual([422, like(/instance status was BACKUP/)]);
  }
  const again = await post(instance);
  expect([again.status, again.text]).toEqual([422, like(/instance status was BACKUP/)]);
  expect(await used()).toBe(before);
  expect((await api.ask("member", `POST /instances/${instance}/databases`, { body: { databases: [{ name: "more" }] } })).status).toBe(202);
});

test.each<[string, object | null, number, RegExp]>([
  ["no body", null, 400, /'backup' is a required property/],
  ["no name", { instance: nobody }, 400, /'name' is a required property/],
  ["no instance", { name: "b" }, 400, /must name the instance/],
  ["an address instead of an id", { name: "b", instance: `http://x/instances/${nobody}` }, 400, /does not match/],
  ["an empty description", { name: "b", instance: nobody, description: "" }, 400, /description/],
  ["true for 1", { name: "b", instance: nobody, incremental: true }, 400, /True is not of type 'number'/],
  ["2 for 1", { name: "b", instance: nobody, incremental: 2 }, 400, /greater than the maximum/],
  ["a container that is a command", { name: "b", instance: nobody, swift_container: "a; rm" }, 400, /swift_container/],
  ["a container with a blank", { name: "b", instance: nobody, swift_container: "a b" }, 400, /swift_container/],
  ["a volume snapshot", { name: "b", instance: nobody, storage_driver: "cinder" }, 501, /Snapshots/],
  ["an unknown instance", { name: "b", instance: nobody }, 404, /Instance .* cannot be found/],
  ["half of restore_from", { name: "b", restore_from: { remote_location: "http://x/y" } }, 400, /local_datastore_version_id/],
  ["a place elsewhere", { name: "b", restore_from: { remote_location: "http://x/y", local_datastore_version_id: nameId("postgresql", "17"), size: 1 } }, 400, /no backup to be had/],
  ["a version that is not there", { name: "b", restore_from: { remote_location: "http://x/y", local_datastore_version_id: nobody, size: 1 } }, 400, /Datastore version/],
])("a backup with %s is refused and nothing charged", async (_, backup, status, text) => {
  const before = await used();
  const reply = await api.ask("member", "POST /backups", { body: backup === null ? {} : { backup } });
  expect([reply.status, reply.text]).toEqual([status, like(text)]);
  expect(await used()).toBe(before);
});

test("an installation without an object store makes no backups, and says so", async () => {
  const without = await startApi({ store: false });
  const instance = await without.active();
  const reply = await without.ask("member", "POST /backups", { body: { backup: { name: "b", instance } } });
  expect([reply.status, reply.text]).toEqual([404, like(/object store/)]);
  await without.close();
});

test("the quota ends at its limit, and what is refused leaves the instance as it was", async () => {
  const few = await startApi({ settings: { COFFER_MAX_BACKUPS: "1" } });
  const [one, two] = [await few.active(), await few.active()];
  const ask = (instance: string) => few.ask("member", "POST /backups", { body: { backup: { name: "b", instance } } });
  expect((await ask(one)).status).toBe(202);
  expect([(await ask(two)).status, (await ask(two)).text]).toEqual([413, like(/\['backups'\]/)]);
  expect((await few.row(two)).backup_id).toBeNull();
  expect((await few.ask("member", `POST /instances/${two}/action`, { body: { restart: {} } })).status).toBe(202);
  await few.close();
});

test("of ten backups of one instance asked for at once one begins", async () => {
  const instance = await api.active();
  const before = await used();
  const replies = await Promise.all(Array.from({ length: 10 }, () => post(instance)));
  expect(replies.map(({ status }) => status).sort()).toEqual([202, ...Array.from({ length: 9 }, () => 422)]);
  expect(await used()).toBe(before + 1);
});

test("incremental takes the newest completed one for its parent, and is whole where there is none", async () => {
  const instance = await api.active();
  const first = backupOf(await post(instance, { incremental: 1 }));
  expect(first.parent_id).toBeNull();
  await complete(first.id);
  const second = await made(instance, { incremental: 1 });
  const failed = await made(instance);
  await api.db.owner`update backup set state = 'FAILED' where id = ${failed}`;
  expect((await show(second)).parent_id).toBe(first.id);
  const third = backupOf(await post(instance, { incremental: 1 }));
  expect(third.parent_id).toBe(second);
  await complete(third.id);
  expect(backupOf(await post(instance)).parent_id).toBeNull();
});

test("parent_id chooses; a parent that nobody sees is a 404, one that cannot be one a 400 that says why", async () => {
  const [instance, other] = [await api.active(), await api.active()];
  const [first, second] = [await made(instance), await made(instance)];
  const chosen = backupOf(await post(instance, { parent_id: first, incremental: 0 }));
  expect(chosen.parent_id).toBe(first);
  await complete(chosen.id);
  for (const [parent, status, text] of [
    [randomUUID(), 404, /Backup .* cannot be found/],
    [await made(other), 400, /another instance/],
    [second, 400, /status is FAILED/],
  ] as const) {
    if (parent === second) await api.db.owner`update backup set state = 'FAILED' where id = ${second}`;
    const reply = await post(instance, { parent_id: parent });
    expect([reply.status, reply.text]).toEqual([status, like(text)]);
    expect(await statusOf(instance)).toBe("ACTIVE");
  }
});

test("the container is the request's, else the instance's, else the project's, else the installation's", async () => {
  const instance = await api.active({}, "other");
  const strategy = (body: object) => api.ask("other", "POST /backup_strategies", { body: { backup_strategy: body } });
  const container = async (change: object = {}) => {
    const { id } = backupOf(await post(instance, change, "other"));
    await complete(id);
    const location = (await show(id, "other")).locationRef as string;
    return location.split("/")[5];
  };
  expect(await container()).toBe("database_backups");
  await strategy({ swift_container: "ours" });
  expect(await container()).toBe("ours");
  const made = await strategy({ swift_container: "its", instance_id: instance });
  expect([made.status, made.json]).toEqual([202, { backup_strategy: { project_id: "p2", instance_id: instance, backend: "swift", swift_container: "its" } }]);
  expect(await container()).toBe("its");
  expect(await container({ swift_container: "this" })).toBe("this");
  await strategy({ swift_container: "its2", instance_id: instance });
  expect(strategiesOf(await api.ask("other", `GET /backup_strategies?instance_id=${instance}`))).toEqual([{ project_id: "p2", instance_id: instance, backend: "swift", swift_container: "its2" }]);
  expect(strategiesOf(await api.ask("other", "GET /backup_strategies"))).toHaveLength(2);
  expect((await api.ask("other", `DELETE /backup_strategies?instance_id=${instance}`)).status).toBe(202);
  expect(await container()).toBe("ours");
  for (let times = 0; times < 2; times++) expect((await api.ask("other", "DELETE /backup_strategies")).status).toBe(202);
  expect(await container()).toBe("database_backups");
});

test("strategies of another project are an administrator's to see and remove; bad ones are refused", async () => {
  await api.ask("member", "POST /backup_strategies", { body: { backup_strategy: { swift_container: "mine" } } });
  for (const [person, status] of [["other", 403], ["admin", 200]] as const) expect((await api.ask(person, "GET /backup_strategies?project_id=p1")).status).toBe(status);
  expect(strategiesOf(await api.ask("admin", "GET /backup_strategies?project_id=p1"))).toHaveLength(1);
  expect(strategiesOf(await api.ask("admin", "GET /backup_strategies"))).toEqual([]);
  expect((await api.ask("other", "DELETE /backup_strategies?project_id=p1")).status).toBe(403);
  expect((await api.ask("admin", "DELETE /backup_strategies?project_id=p1")).status).toBe(202);
  expect(strategiesOf(await api.ask("member", "GET /backup_strategies"))).toEqual([]);
  for (const body of [{}, { swift_container: "" }, { swift_container: "a b" }, { swift_container: "a", instance_id: "x" }, { swift_container: "a", more: 1 }]) {
    expect((await api.ask("member", "POST /backup_strategies", { body: { backup_strategy: body } })).status, JSON.stringify(body)).toBe(400);
  }
});

test("lists are the project's own, newest change first, by pages of numbers; filters choose", async () => {
  const fresh = await startApi();
  const instance = await fresh.active();
  const ids: string[] = [];
  for (let count = 0; count < 3; count++) {
    const { id } = backupOf(await fresh.ask("member", "POST /backups", { body: { backup: { name: `b${count}`, instance } } }));
    await fresh.db.owner`update backup set state = 'COMPLETED', updated_at = ${new Date(Date.now() + count * 1000)} where id = ${id}`;
    await fresh.db.owner`update operation set outcome = 'done' where outcome is null`;
    await fresh.put(instance, { backup_id: null });
    ids.unshift(id);
  }
  const list = async (query: string, person: Person = "member") => listOf(await fresh.ask(person, `GET /backups${query}`)).map(({ id }) => id);
  expect(await list("")).toEqual(ids);
  const first = await fresh.ask("member", "GET /backups?limit=2");
  expect(listOf(first).map(({ id }) => id)).toEqual(ids.slice(0, 2));
  expect(first.json.links).toEqual([{ rel: "next", href: like(/limit=2&marker=2$/) }]);
  const last = await fresh.ask("member", "GET /backups?limit=2&marker=2");
  expect([listOf(last).map(({ id }) => id), last.json.links]).toEqual([ids.slice(2), undefined]);
  for (const query of ["?limit=0", "?limit=x", "?marker=x", "?marker=-1"]) expect((await fresh.ask("member", `GET /backups${query}`)).status).toBe(400);
  expect(await list(`?instance_id=${instance}`)).toEqual(ids);
  expect(await list(`?instance_id=${nobody}`)).toEqual([]);
  expect(await list("?instance_id=x")).toEqual([]);
  expect(await list("?datastore=postgresql")).toEqual(ids);
  expect((await fresh.ask("member", "GET /backups?datastore=oracle")).status).toBe(404);
  expect(await list("", "other")).toEqual([]);
  expect(await list("", "admin")).toEqual([]);
  expect(await list("?all_projects=true", "admin")).toEqual(ids);
  expect(await list("?project_id=p1", "admin")).toEqual(ids);
  expect(await list("?project_id=p2", "admin")).toEqual([]);
  for (const query of ["?project_id=p1", "?all_projects=True", "?project_id=p2"]) expect((await fresh.ask("member", `GET /backups${query}`)).status).toBe(403);
  expect((await fresh.ask("member", "GET /backups?all_projects=false")).status).toBe(200);
  expect(listOf(await fresh.ask("member", `GET /instances/${instance}/backups`)).map(({ id }) => id)).toEqual(ids);
  expect((await fresh.ask("other", `GET /instances/${instance}/backups`)).status).toBe(404);
  expect(listOf(await fresh.ask("admin", `GET /instances/${instance}/backups`))).toHaveLength(3);
  await fresh.close();
});

test("a backup outlives its instance, and goes with its children and theirs; their quota comes back once", async () => {
  const instance = await api.active();
  const [root, child] = [await made(instance), await made(instance, { incremental: 1 })];
  const [grandchild, alone] = [await made(instance, { incremental: 1 }), await made(instance)];
  await api.ask("member", `DELETE /instances/${instance}`);
  await api.put(instance, { deleted_at: new Date() });
  expect(await show(root)).toMatchObject({ instance_id: instance, status: "COMPLETED" });
  const before = await used();
  expect([(await remove(root, "other")).status, (await remove("x")).status, (await remove(nobody)).status]).toEqual([404, 404, 404]);
  const reply = await remove(root);
  expect([reply.status, reply.text]).toEqual([202, ""]);
  for (const id of [root, child, grandchild]) expect((await api.ask("member", `GET /backups/${id}`)).status).toBe(404);
  expect((await remove(root)).status).toBe(404);
  expect(await used()).toBe(before - 3);
  expect((await show(alone)).id).toBe(alone);
  const waiting = await api.db.owner`select id from backup where clean_at is not null and id in ${api.db.owner([root, child, grandchild, alone])}`;
  expect(waiting).toHaveLength(3);
});

test("a running backup is not deleted, nor a parent of one; after three days it is", async () => {
  const instance = await api.active();
  const parent = await made(instance);
  const { id } = backupOf(await post(instance, { incremental: 1 }));
  const before = await used();
  for (const one of [id, parent]) expect([(await remove(one)).status, (await remove(one)).text]).toEqual([422, like(/because it is running/)]);
  expect([await used(), (await show(parent)).status]).toEqual([before, "COMPLETED"]);
  await api.db.owner`update backup set created_at = now() - interval '3 days' where id = ${id}`;
  expect((await remove(id)).status).toBe(202);
  expect(await api.db.owner`select cancel_requested from operation where instance_id = ${instance} and outcome is null`).toEqual([{ cancel_requested: true }]);
  expect(await used()).toBe(before - 1);
});

test.each<[string, (id: string) => Promise<Reply>]>([
  ["reset_status", (id) => api.ask("member", `POST /instances/${id}/action`, { body: { reset_status: { force_delete: true } } })],
  ["reset-task-status", (id) => api.ask("admin", `POST /mgmt/instances/${id}/action`, { body: { "reset-task-status": {} } })],
])("%s makes a running backup FAILED, says why, and leaves others", async (_, reset) => {
  const instance = await api.active();
  const done = await made(instance);
  const { id } = backupOf(await post(instance));
  expect((await reset(instance)).status).toBe(202);
  expect(await show(id)).toMatchObject({ status: "FAILED", fault: { message: like(/reset/) } });
  expect((await show(done)).status).toBe("COMPLETED");
  expect(await statusOf(instance)).toBe("ACTIVE");
  expect((await remove(id)).status).toBe(202);
});

test("a version is not deleted while a backup is of it", async () => {
  const own = await startApi();
  const instance = await own.active();
  const { id } = backupOf(await own.ask("member", "POST /backups", { body: { backup: { name: "b", instance } } }));
  await own.db.owner`update backup set state = 'COMPLETED' where id = ${id}`;
  await own.put(instance, { deleted_at: new Date() });
  const gone = () => own.ask("admin", `DELETE /mgmt/datastore-versions/${nameId("postgresql", "17")}`);
  expect([(await gone()).status, (await gone()).text]).toEqual([400, like(/in use by a backup/)]);
  await own.ask("member", `DELETE /backups/${id}`);
  expect((await gone()).status).toBe(202);
  await own.close();
});

test("row-level security keeps backups and strategies from other projects, whatever a handler does", async () => {
  const instance = await api.active();
  await made(instance);
  await api.ask("member", "POST /backup_strategies", { body: { backup_strategy: { swift_container: "mine" } } });
  const seenBy = (project: string) =>
    api.db.owner.begin(async (sql) => {
      await sql`set local role coffer_app`;
      await sql`select set_config('coffer.project_id', ${project}, true), set_config('coffer.admin', 'off', true)`;
      return sql`select (select count(*) > 0 from backup where project_id = 'p1') as backups, (select count(*) > 0 from backup_strategy where project_id = 'p1') as strategies`;
    });
  expect([...(await seenBy("p1")), ...(await seenBy("p2"))]).toEqual([{ backups: true, strategies: true }, { backups: false, strategies: false }]);
  await api.ask("member", "DELETE /backup_strategies");
});
