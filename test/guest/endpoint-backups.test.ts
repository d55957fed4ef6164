import { generateKeyPairSync, randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { create } from "#core/backup/create";
import { remove } from "#core/backup/remove";
import { granted, grantKey } from "#core/guest/grant";
import { GrantReply, keyBound, OBJECT_BYTES, type JobSpec } from "#core/guest/protocol";
import { unseal } from "#core/guest/seal";
import { endpoint } from "#test/guest/endpoint-rig";

const sealing = generateKeyPairSync("x25519");
const sealingKey = sealing.publicKey.export({ type: "spki", format: "der" }).toString("base64");
const report = { report: { serviceStatus: "healthy", agentVersion: "test", sealingKey } };

/** A guest that serves, and how it is asked for a backup. */
async function served() {
  const at = await endpoint();
  const { world } = at;
  const join = async () => {
    const joined = await at.booted();
    await joined.guest.enrol();
    await joined.guest.sync({ ...report, results: (await at.jobs(joined.id)).map((job) => ({ id: job.id, ok: true })) });
    await world.drive();
    return joined;
  };
  const { id, guest, boot } = await join();
  const asked = async (change: { incremental?: boolean } = {}) => {
    const { backup } = await world.as(world.tenant, () => create({ instanceId: id, name: "nightly", incremental: false, ...change }, world.config));
    await world.drive({ until: async () => (await at.jobs(id)).some((job) => job.kind === "backup" && job.state === "queued") });
    const job = (await at.jobs(id)).findLast(({ kind }) => kind === "backup");
    if (!job) throw new Error("no job");
    return { backup, job: job.id };
  };
  const grant = async (request: object) => guest.signed("/grant", JSON.stringify(request));
  const places = async (job: string) => {
    const reply = await grant({ jobId: job });
    expect(reply.status).toBe(200);
    return GrantReply.parse(reply.body).places;
  };
  const open = ({ key, place }: GrantReply["places"][number]) => unseal(sealing.privateKey, keyBound(id, boot.generation, place), key);
  /** As its guest would tell it. */
  const done = async (job: string, incremental = false) => {
    const at2 = world.clock.now().toISOString();
    const result = { bytes: 1000, dataBytes: 2000, checksum: "a".repeat(64), startLsn: "0/3000028", stopLsn: "0/3000158", timeline: 1, systemIdentifier: "7", startedAt: at2, stoppedAt: at2, parts: 1, incremental };
    await guest.sync({ ...report, results: [{ id: job, ok: true, result }] });
    await world.drive();
  };
  return { ...at, join, boot, id, guest, asked, grant, places, open, done };
}

test("a queued backup is granted its own place to write, for hours, with a key that only its agent opens", async () => {
  const { asked, places, open, world, granting, id } = await served();
  const { backup, job } = await asked();
  const [own, ...others] = await places(job);
  if (!own) throw new Error("no place");
  expect(others).toEqual([]);
  const place = { projectId: "p1", container: "database_backups", prefix: `backups/${backup.id}` };
  expect(own).toMatchObject({ backupId: backup.id, place, methods: ["GET", "HEAD", "PUT"], url: `${granting.url}/p1/database_backups/backups/${backup.id}` });
  const until = Date.parse(own.expiresAt);
  expect(until).toBe(world.clock.now().getTime() + 4 * 3600_000);
  const said = granted(grantKey(world.workshop.rootKey), own.headers.authorization, world.clock.now());
  expect(said).toEqual({ place, methods: own.methods, mostBytes: OBJECT_BYTES, until });
  const key = open(own);
  expect(key).toMatch(/^[0-9a-f]{64}$/);
  // Asked again it is the same key, and a later end.
  world.clock.advance(60_000);
  const [again] = await places(job);
  expect(again && open(again)).toBe(key);
  expect(Date.parse(again?.expiresAt ?? "")).toBe(until + 60_000);
  const [row] = await world.backups();
  expect(row?.granted_until).toEqual(new Date(until + 60_000));
  // In the state database nothing of it can be read.
  expect(JSON.stringify([await world.db.owner`select * from backup where instance_id = ${id}`, await world.db.owner`select encode(wrapped, 'hex') from data_key`])).not.toContain(key);
});

test("an increment is granted its parent's place as well, to read, with the parent's key", async () => {
  const { asked, places, open, done } = await served();
  const first = await asked();
  const [own] = await places(first.job);
  const key = own && open(own);
  await done(first.job);
  const second = await asked({ incremental: true });
  const [mine, parent] = await places(second.job);
  expect(mine).toMatchObject({ backupId: second.backup.id, methods: ["GET", "HEAD", "PUT"] });
  expect(parent).toMatchObject({ backupId: first.backup.id, methods: ["GET", "HEAD"] });
  expect([parent && open(parent), mine && open(mine) === key]).toEqual([key, false]);
});

test("a restore is granted its chain to read, oldest first, and nothing to write", async () => {
  const { asked, places, open, done, ...at } = await served();
  const first = await asked();
  const [own] = await places(first.job);
  await done(first.job);
  const restore: JobSpec<"prepare">["restore"] = { chain: [{ backupId: first.backup.id, checksum: "a".repeat(64), place: { projectId: "p1", container: "database_backups", prefix: `backups/${first.backup.id}` } }] };
  const job = await at.job(at.id, "prepare", { memoryMb: 512, volumeGb: 1, cidrs: null, databases: [], users: [], restore });
  const given = await places(job);
  expect(given.map(({ backupId, methods }) => [backupId, methods])).toEqual([[first.backup.id, ["GET", "HEAD"]]]);
  expect(given[0] && open(given[0])).toBe(own && open(own));
});

test("nothing is granted for a job that is another guest's, over, of another kind, or unknown; nor for what is no request", async () => {
  const { asked, grant, guest, join, done, places, ...at } = await served();
  const { guest: stranger } = await join();
  const { job } = await asked();
  await places(job);
  expect((await stranger.signed("/grant", JSON.stringify({ jobId: job }))).status).toBe(409);
  const other = await at.job(at.id, "create_users", { users: [] });
  for (const wrong of [randomUUID(), other]) expect((await grant({ jobId: wrong })).status).toBe(409);
  for (const wrong of [{}, { jobId: "x" }, { archive: false }]) expect((await grant(wrong)).status).toBe(400);
  expect((await guest.post("/grant", JSON.stringify({ jobId: job }))).status).toBe(401);
  await done(job);
  expect((await grant({ jobId: job })).status).toBe(409);
});

test("an agent that told no key for secrets is granted nothing, and no key is made", async () => {
  const { asked, grant, world, id } = await served();
  const { job } = await asked();
  await world.db.owner`update guest set sealing_key = null where instance_id = ${id}`;
  expect((await grant({ jobId: job })).status).toBe(409);
  expect(await world.backups()).toMatchObject([{ granted_until: null }]);
  expect(await world.db.owner`select 1 from data_key`).toEqual([]);
});

test("a backup that is given up while its guest is at it is granted no longer", async () => {
  const { asked, grant, places, world } = await served();
  const { job, backup } = await asked();
  await places(job);
  await world.db.owner`update backup set created_at = created_at - interval '4 days'`;
  await world.as(world.tenant, () => remove(backup.id));
  expect((await grant({ jobId: job })).status).toBe(409);
});

test("a guest is granted the archive of its own WAL, and a restore to a moment that of the instance the backup is of, to read", async () => {
  const { asked, grant, places, open, done, id, ...at } = await served();
  const reply = await grant({ archive: true });
  expect(reply.status).toBe(200);
  const [own] = GrantReply.parse(reply.body).places;
  const place = { projectId: "p1", container: "wal", prefix: id };
  expect(own).toMatchObject({ backupId: "wal", place, methods: ["GET", "HEAD", "PUT"] });
  const first = await asked();
  await places(first.job);
  await done(first.job);
  const restore = { chain: [{ backupId: first.backup.id, checksum: "a".repeat(64), place: { projectId: "p1", container: "database_backups", prefix: `backups/${first.backup.id}` } }] };
  const spec = { memoryMb: 512, volumeGb: 1, cidrs: null, databases: [], users: [] };
  const job = await at.job(id, "prepare", { ...spec, restore: { ...restore, until: { time: "2026-01-01T00:00:00Z" } } });
  const given = await places(job);
  expect(given.map(({ backupId, place: there, methods }) => [backupId, there.prefix, methods])).toEqual([
    [first.backup.id, `backups/${first.backup.id}`, ["GET", "HEAD"]],
    ["wal", id, ["GET", "HEAD"]],
  ]);
  expect(given[1] && open(given[1])).toBe(own && open(own));
});
