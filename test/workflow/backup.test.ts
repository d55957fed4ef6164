import { afterEach, beforeEach, expect, test } from "vitest";
import { create as createBackup, type NewBackup } from "#core/backup/create";
import { remove as removeBackup } from "#core/backup/remove";
import { restoring } from "#core/backup/restore";
import { nameId } from "#core/datastore/seed";
import type { ObjectStore } from "#core/driver/objectstore";
import { crashOnce } from "#core/failpoint";
import { remove, resetStatus } from "#core/instance/remove";
import { statusOf } from "#core/instance/status";
import { setSink, type Sink } from "#core/log";
import { createSweep } from "#functions/cron/sweep";
import { act } from "#test/support/guests";
import { createWorld, type World } from "#test/support/world";

let world: World;
let lines: Parameters<Sink>[0][];
let previous: Sink;
beforeEach(async () => {
  world = await createWorld();
  lines = [];
  previous = setSink((line) => lines.push(line));
});
afterEach(async () => {
  setSink(previous);
  await world.close();
});

const call = { signal: new AbortController().signal };
const admin = { kind: "user", userId: "root", projectId: "ops", roles: ["admin"], isAdmin: true } as const;
const MINUTE = 60_000;

async function serving(): Promise<string> {
  const id = await world.create();
  await world.drive();
  return id;
}
const ask = async (instanceId: string, change: Partial<NewBackup> = {}) => (await world.as(world.tenant, () => createBackup({ instanceId, name: "nightly", incremental: false, ...change }, world.config))).backup.id;
async function made(instanceId: string, change: Partial<NewBackup> = {}): Promise<string> {
  const id = await ask(instanceId, change);
  await world.drive();
  return id;
}
/** The job with which a guest was asked for a backup, and of which it knows nothing yet: guests say nothing from now on. */
async function asked() {
  world.silence(true);
  const waiting = () => world.db.owner<{ id: string; spec: object }[]>`select id, spec from guest_job where kind = 'backup' and state = 'queued'`;
  await world.drive({ until: async () => (await waiting()).length > 0 });
  const [job] = await waiting();
  if (!job) throw new Error("no job");
  return job;
}
const row = async (id: string) => (await world.backups()).find((one) => one.id === id);
const stored = async (container = "database_backups") => ((await world.objects.list({ projectId: "p1", name: container }, { limit: 1000 }, call)) ?? []).map(({ name }) => name);
const sweep = (objects: ObjectStore = world.objects) =>
  createSweep({
    db: world.db.system,
    publisher: { publish: (messages) => Promise.resolve(messages.map(({ id }) => id)) },
    executions: { start: () => Promise.resolve() },
    workshop: { ...world.workshop, objects },
    config: world.config,
    clock: world.clock,
  })();

test("a backup goes from NEW over BUILDING to COMPLETED with what the guest says of it, its instance from BACKUP to ACTIVE", async () => {
  const instance = await serving();
  const id = await ask(instance);
  expect([(await row(id))?.state, statusOf(await world.row(instance))]).toEqual(["NEW", "BACKUP"]);
  await world.drive({ until: async () => (await row(id))?.state === "BUILDING" });
  expect(statusOf(await world.row(instance))).toBe("BACKUP");
  await world.drive();
  expect(await row(id)).toMatchObject({ state: "COMPLETED", data_bytes: "32000000", start_lsn: "0/3000028", stop_lsn: "0/3000158", timeline: 1, checksum: expect.stringMatching(/^[0-9a-f]{64}$/) as string });
  expect([statusOf(await world.row(instance)), (await world.row(instance)).faultMessage]).toEqual(["ACTIVE", null]);
  expect(await stored()).toEqual([`backups/${id}/manifest`, `backups/${id}/part-00000001`]);
});

test("an increment tells the guest its parent; one that the guest made whole has none", async () => {
  const instance = await serving();
  const first = await made(instance);
  const second = await ask(instance, { incremental: true });
  const job = await asked();
  expect(job.spec).toEqual({ backupId: second, label: "nightly", place: { projectId: "p1", container: "database_backups", prefix: `backups/${second}` }, parent: { backupId: first, checksum: (await row(first))?.checksum } });
  await world.db.owner`update guest_job set spec = spec - 'parent' where kind = 'backup' and state = 'queued'`;
  world.silence(false);
  await world.drive();
  expect(await row(second)).toMatchObject({ state: "COMPLETED", parent_id: null });
});

test("a backup that fails is FAILED with the guest's words, on the instance too, which serves on; the sweep removes what it left", async () => {
  const instance = await serving();
  const good = await made(instance);
  world.cannot.add("backup");
  const id = await ask(instance);
  await world.objects.put({ projectId: "p1", name: "database_backups" }, `backups/${id}/part-00000001`, (async function* () { yield Buffer.from("x"); })(), {}, call);
  await world.drive();
  expect(await row(id)).toMatchObject({ state: "FAILED", fault_message: expect.stringMatching(/step 'copy' \(guest\.failed\): the guest cannot backup/) as string });
  const after = await world.row(instance);
  expect([statusOf(after), after.faultMessage]).toEqual(["ACTIVE", expect.stringContaining("the guest cannot backup")]);
  await sweep();
  expect(await stored()).toEqual([`backups/${good}/manifest`, `backups/${good}/part-00000001`]);
  expect(await row(id)).toMatchObject({ state: "FAILED", clean_at: null });
  expect(await row(good)).toMatchObject({ state: "COMPLETED", clean_at: null });
});

test("bytes that the guest moves extend the time a backup may take; time alone does not, and its guest is told to stop", async () => {
  const instance = await serving();
  const id = await ask(instance);
  const job = await asked();
  const { projectId, generation } = await world.row(instance);
  const moved = (bytes: number) => world.asSystem(() => act({ instanceId: instance, projectId, generation }, { idle: true, progress: { jobId: job.id, bytes } }));
  const look = async () => {
    const [run] = await world.running();
    return run && (await world.stepOnce({ operationId: run.id, run: run.run }));
  };
  for (let round = 1; round <= 8; round++) {
    world.clock.advance(20 * MINUTE);
    await moved(round * 1_000_000);
    expect(await look(), `round ${round}`).toMatchObject({ next: "wait" });
  }
  // The same number again is no progress.
  for (let round = 0; round < 3; round++) {
    world.clock.advance(20 * MINUTE);
    await moved(8_000_000);
    await look();
  }
  expect(await row(id)).toMatchObject({ state: "FAILED", fault_message: expect.stringContaining("deadline") as string });
  const jobs = await world.db.owner`select kind, state, spec from guest_job where instance_id = ${instance} and kind like '%backup' order by seq`;
  expect(jobs).toEqual([{ kind: "backup", state: "failed", spec: null }, { kind: "cancel_backup", state: "queued", spec: { backupId: id } }]);
});

test("reset_status gives a running backup up: FAILED at once, the guest told to stop, a late success of it changes nothing", async () => {
  const instance = await serving();
  const id = await ask(instance);
  await world.drive({ until: async () => (await row(id))?.state === "BUILDING" });
  const [run] = await world.running();
  if (!run) throw new Error("no run");
  await world.stepOnce({ operationId: run.id, run: run.run });
  await world.as(admin, () => resetStatus(instance));
  expect([(await row(id))?.state, statusOf(await world.row(instance))]).toEqual(["FAILED", "ACTIVE"]);
  await world.guestsAct();
  await world.drive();
  expect(await row(id)).toMatchObject({ state: "FAILED", fault_message: expect.stringContaining("reset") as string });
  await sweep();
  expect(await stored()).toEqual([]);
});

test("an instance that is deleted takes the backup that runs with it, and leaves those that are done", async () => {
  const instance = await serving();
  const done = await made(instance);
  const id = await ask(instance);
  await world.as(world.tenant, () => remove(instance));
  await world.drive();
  expect((await world.row(instance)).deletedAt).not.toBeNull();
  expect([(await row(done))?.state, (await row(id))?.state]).toEqual(["COMPLETED", "FAILED"]);
  await sweep();
  expect(await stored()).toEqual([`backups/${done}/manifest`, `backups/${done}/part-00000001`]);
});

test("deleted backups lose their objects and their keys, children too, when the instance is long gone; others keep theirs", async () => {
  const instance = await serving();
  const [root, child, other] = [await made(instance), await made(instance, { incremental: true }), await made(instance)];
  await world.as(world.tenant, () => remove(instance));
  await world.drive();
  await world.as(world.tenant, () => removeBackup(root));
  await sweep();
  expect(await stored()).toEqual([`backups/${other}/manifest`, `backups/${other}/part-00000001`]);
  for (const id of [root, child]) expect(await row(id)).toMatchObject({ clean_at: null });
  expect((await world.usage()).backups).toBe(1);
});

test("a store that is away delays the removal, shows DELETE_FAILED to nobody but us, and is asked again", async () => {
  const instance = await serving();
  const id = await made(instance);
  await world.as(world.tenant, () => removeBackup(id));
  const away: ObjectStore = { ...world.objects, list: () => Promise.reject(new Error("the store is away")) };
  await sweep(away);
  expect(await row(id)).toMatchObject({ state: "DELETE_FAILED" });
  expect(lines).toContainEqual(expect.objectContaining({ message: "backup not removed", backup: id, error: "the store is away" }));
  await sweep();
  expect(await stored()).toHaveLength(2);
  world.clock.advance(MINUTE);
  await sweep();
  expect([await stored(), (await row(id))?.clean_at]).toEqual([[], null]);
});

test("objects that come after a delete, by a grant that is not over, are looked for when it is", async () => {
  const instance = await serving();
  const id = await made(instance);
  await world.db.owner`update backup set granted_until = ${new Date(world.clock.now().getTime() + 60 * MINUTE)} where id = ${id}`;
  await world.as(world.tenant, () => removeBackup(id));
  await sweep();
  await world.objects.put({ projectId: "p1", name: "database_backups" }, `backups/${id}/part-00000009`, (async function* () { yield Buffer.from("late"); })(), {}, call);
  world.clock.advance(59 * MINUTE);
  await sweep();
  expect(await stored()).toHaveLength(1);
  world.clock.advance(2 * MINUTE);
  await sweep();
  expect([await stored(), (await row(id))?.clean_at]).toEqual([[], null]);
});

test.each(["create.prepare.before", "create.prepare.effect", "create.prepare.committed"])("an instance that begins with a chain of backups survives a crash at %s, and its guest is told the chain, oldest first", async (point) => {
  const instance = await serving();
  const [root, child] = [await made(instance), await made(instance, { incremental: true })];
  const disarm = crashOnce(point);
  const restored = await world.create({ restore: (target) => restoring(child, target, world.objects) });
  const [job] = await world.db.owner`select spec from guest_job where instance_id = ${restored}`;
  const chain = await Promise.all([root, child].map(async (id) => ({ backupId: id, checksum: (await row(id))?.checksum, place: { projectId: "p1", container: "database_backups", prefix: `backups/${id}` } })));
  expect((job?.spec as { restore: object }).restore).toEqual({ chain });
  const { crashes } = await world.drive();
  disarm();
  expect([crashes, statusOf(await world.row(restored))]).toEqual([1, "ACTIVE"]);
  const [create] = await world.operations(restored);
  expect((create?.deadline.getTime() ?? 0) - (create?.createdAt.getTime() ?? 0)).toBe(60 * MINUTE);
});

test("a restore that the guest refuses ends the create in ERROR with the guest's words", async () => {
  const instance = await serving();
  const id = await made(instance);
  world.cannot.add("prepare");
  const restored = await world.create({ restore: (target) => restoring(id, target, world.objects) });
  await world.drive();
  const after = await world.row(restored);
  expect([statusOf(after), after.faultMessage]).toEqual(["ERROR", expect.stringContaining("the guest cannot prepare")]);
});

test("root that was enabled when the backup was made is enabled in what is restored from it", async () => {
  const instance = await serving();
  await world.db.owner`update instance set root_enabled = true where id = ${instance}`;
  const id = await made(instance);
  const restored = await world.create({ datastore: { version: nameId("postgresql", "17") }, restore: (target) => restoring(id, target, world.objects) });
  expect((await world.row(restored)).rootEnabled).toBe(true);
});
