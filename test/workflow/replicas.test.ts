import { afterEach, beforeEach, expect, test } from "vitest";
import { eq } from "drizzle-orm";
import { read } from "#core/db/index";
import { guestJob } from "#core/guest/guest.sql";
import { jobs, replicaBound, type JobKind, type JobSpec } from "#core/guest/protocol";
import { unseal } from "#core/guest/seal";
import { scramVerifier } from "#core/guest/scram";
import { resizeVolume } from "#core/instance/change";
import { remove, resetStatus } from "#core/instance/remove";
import { detach, eject, promote } from "#core/instance/set";
import { changes, replicate } from "#test/support/changes";
import { guestKey } from "#test/support/guests";
import { createWorld, type World } from "#test/support/world";

/** What the operations of replica sets leave, and what they tell guests on the way. */
let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

const as = <T>(work: () => Promise<T>) => world.as(world.tenant, work);
/** A source and as many replicas, all serving, in order. */
async function set(count: number): Promise<[string, ...string[]]> {
  const source = await world.create();
  await world.drive();
  await as(() => replicate(source, world, { count }));
  await world.drive();
  const replicas = (await world.live()).filter((row) => row.replicaOf === source).sort((a, b) => (a.name < b.name ? -1 : 1));
  expect(replicas.map(({ task, serviceStatus }) => [task, serviceStatus])).toEqual(Array.from({ length: count }, () => ["NONE", "healthy"]));
  return [source, ...replicas.map(({ id }) => id)];
}
const jobsOf = (id: string) => world.asSystem(() => read((tx) => tx.select().from(guestJob).where(eq(guestJob.instanceId, id)).orderBy(guestJob.seq)));
/** Drives until a job of that kind waits at an instance, at which all guests stand still from then on; what it carries. */
async function waiting<K extends JobKind>(id: string, kind: K): Promise<JobSpec<K>> {
  const found = async () => (await jobsOf(id)).find((job) => job.kind === kind && job.state === "queued");
  world.held.add(kind);
  await world.drive({ until: async () => (await found()) !== undefined });
  const job = await found();
  if (!job) throw new Error(`no ${kind} waits`);
  return jobs[kind].parse(job.spec) as JobSpec<K>;
}
const tasks = async (...ids: string[]) => Promise.all(ids.map(async (id) => (await world.row(id)).task));
const sources = async (...ids: string[]) => Promise.all(ids.map(async (id) => (await world.row(id)).replicaOf));

test("a replica's password travels as a verifier to its source and sealed to the replica, bound to both", async () => {
  const source = await world.create();
  await world.drive();
  const replica = await as(() => replicate(source, world));
  const { followers } = await waiting(source, "serve");
  world.held.clear();
  const { following, databases, users } = await waiting(replica, "prepare");
  world.held.clear();
  expect([databases, users]).toEqual([[], []]);
  const name = `coffer_replica_${replica.replaceAll("-", "")}`;
  expect(following).toMatchObject({ sourceId: source, host: (await world.row(source)).address, port: 5432, name, superuser: "sealed" });
  const password = unseal(guestKey, replicaBound("password", source, replica, 1), following?.password ?? "");
  expect(password).toMatch(/^[0-9a-f]{64}$/);
  const [follower] = followers;
  expect(follower).toMatchObject({ instanceId: replica, name, address: (await world.row(replica)).address });
  const salt = Buffer.from(follower?.verifier.split(/[$:]/)[2] ?? "", "base64");
  expect(follower?.verifier).toBe(await scramVerifier(password, () => salt));
  expect(() => unseal(guestKey, replicaBound("password", source, replica, 2), following?.password ?? "")).toThrow("another purpose");
  await world.drive();
  const [{ count } = { count: 1 }] = await world.db.owner<{ count: number }[]>`select (select count(*) from guest_job j where j::text like ${`%${password}%`}) + (select count(*) from operation o where o::text like ${`%${password}%`})::int as count`;
  expect(Number(count)).toBe(0);
});

test("after a promotion everyone follows the new source, the former one too", async () => {
  const [source, first = "", second = ""] = await set(2);
  await as(() => promote(second));
  const { until, before } = await waiting(second, "promote");
  const left = new Date(before ?? "").getTime() - world.clock.now().getTime();
  expect([until, left > 110_000 && left <= 120_000]).toEqual(["0/5000000", true]);
  expect(await tasks(source, first, second)).toEqual(["PROMOTING", "PROMOTING", "PROMOTING"]);
  world.held.clear();
  await world.drive();
  expect(await sources(source, first, second)).toEqual([second, second, null]);
  expect(await tasks(source, first, second)).toEqual(["NONE", "NONE", "NONE"]);
  expect((await jobsOf(second)).map(({ kind }) => kind)).toEqual(["prepare", "promote", "serve"]);
  for (const id of [source, first]) expect((await jobsOf(id)).at(-1)?.kind).toBe("follow");
});

test("a member that cannot follow the new source shows ERROR, and the others go on", async () => {
  const [source, first = "", second = ""] = await set(2);
  await as(() => promote(second));
  await waiting(first, "follow");
  world.cannot.add("follow");
  world.held.clear();
  await world.guestsAct(first);
  world.cannot.clear();
  await world.drive();
  expect(await tasks(source, first, second)).toEqual(["NONE", "PROMOTING_ERROR", "NONE"]);
  expect((await world.row(first)).faultMessage).toMatch(/the guest cannot follow/);
  expect((await world.operations(second))[0]?.outcome).toBe("done");
});

test("a source that cannot be held leaves the set as it was", async () => {
  const [source, first = "", second = ""] = await set(2);
  world.cannot.add("hold");
  await as(() => promote(second));
  await world.drive();
  expect(await sources(source, first, second)).toEqual([null, source, source]);
  expect(await tasks(source, first, second)).toEqual(["NONE", "NONE", "NONE"]);
  expect((await world.row(second)).faultMessage).toMatch(/at step 'hold' .*the guest cannot hold/);
  // It may have been held all the same: it is told to write again.
  expect((await jobsOf(source)).at(-1)).toMatchObject({ kind: "promote", state: "done" });
});

test("a candidate that says nothing is off before the former source writes again", async () => {
  const [source, first = "", second = ""] = await set(2);
  await as(() => promote(second));
  await waiting(second, "promote");
  const began = world.clock.now().getTime();
  await world.as({ kind: "user", userId: "root", projectId: "ops", roles: ["admin"], isAdmin: true }, () => resetStatus(second));
  await world.drive({ until: async () => (await jobsOf(source)).at(-1)?.kind === "promote" });
  const off = world.cloud.all().servers.find(({ spec }) => spec.instanceId === second);
  expect(off?.state).toBe("SHUTDOWN");
  // It might have begun until then, had it only been slow.
  expect(world.clock.now().getTime() - began).toBeGreaterThanOrEqual(120_000);
  world.held.clear();
  await world.drive();
  expect(await sources(source, first, second)).toEqual([null, source, source]);
  expect((await tasks(source, first))).toEqual(["NONE", "NONE"]);
});

test("an ejected source is off before its replica is promoted, stands alone, and keeps nothing for anybody", async () => {
  const [source, first = "", second = ""] = await set(2);
  world.clock.advance(600_000);
  await as(() => eject(source, world.config));
  await waiting(first, "position");
  expect(world.cloud.all().servers.find(({ spec }) => spec.instanceId === source)?.state).toBe("SHUTDOWN");
  world.held.clear();
  await world.drive();
  expect(await sources(source, first, second)).toContainEqual(null);
  const [chosen = ""] = [first, second].sort();
  const other = chosen === first ? second : first;
  expect(await sources(source, chosen, other)).toEqual([null, null, chosen]);
  expect(await tasks(source, first, second)).toEqual(["NONE", "NONE", "NONE"]);
  expect((await world.row(source)).serverState).toBe("SHUTDOWN");
  expect((await jobsOf(source)).at(-1)).toMatchObject({ kind: "serve", state: "queued", spec: { followers: [] } });
});

test("a detached replica stands alone, and its former source is told who is left", async () => {
  const [source, first = "", second = ""] = await set(2);
  await as(() => detach(first));
  await world.drive();
  expect(await sources(source, first, second)).toEqual([null, null, source]);
  const last = (await jobsOf(source)).filter(({ kind }) => kind === "serve").at(-1);
  world.silence(true);
  expect(last?.state === "done" || jobs.serve.parse(last?.spec).followers.map(({ instanceId }) => instanceId)).toEqual(last?.state === "done" ? true : [second]);
});

test("the source forgets a replica that is deleted", async () => {
  const [source, first = "", second = ""] = await set(2);
  await as(() => remove(first));
  const { followers } = await waiting(source, "serve");
  expect(followers.map(({ instanceId }) => instanceId)).toEqual([second]);
  world.held.clear();
  await world.drive();
  expect((await world.row(first)).deletedAt).not.toBeNull();
});

test("volumes of a set grow together", async () => {
  const [source, first = ""] = await set(1);
  await as(() => resizeVolume(source, 3, world.config));
  await world.drive();
  expect([(await world.row(source)).volumeGb, (await world.row(first)).volumeGb, (await world.usage()).volumes]).toEqual([3, 3, 6]);
});

test("a rebuilt replica follows again, and a rebuilt source lets its replicas in again", async () => {
  const [source, first = ""] = await set(1);
  await as(async () => void (await changes.rebuild(first, world)));
  await world.drive();
  expect((await jobsOf(first)).at(-1)).toMatchObject({ kind: "follow", state: "done" });
  await as(async () => void (await changes.rebuild(source, world)));
  await world.drive();
  expect((await jobsOf(source)).at(-1)).toMatchObject({ kind: "serve", state: "done" });
  expect(await tasks(source, first)).toEqual(["NONE", "NONE"]);
});
