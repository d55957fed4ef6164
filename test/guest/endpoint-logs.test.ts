import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { LOG_UPLOAD_BYTES } from "#core/guest/protocol";
import { endpoint } from "#test/guest/endpoint-rig";

const call = { signal: new AbortController().signal };
const object = "log-20260101T000000000Z-000000000000000";
const container = { projectId: "p1", name: "database_logs" };

/** A guest with a job that asks for a log. */
async function asked() {
  const at = await endpoint();
  const { id, guest } = await at.booted();
  await guest.enrol();
  const prefix = `${id}/postgresql-general/`;
  const job = await at.job(id, "log", { name: "general", publish: true, discard: false, to: { projectId: "p1", prefix } });
  const names = async (where = container) => (await at.objects.list(where, { limit: 100 }, call))?.map(({ name }) => name);
  return { ...at, enqueue: at.job, id, guest, job, prefix, names };
}

test("what a guest uploads for a job lands where the job says, with its lines counted, for thirty days", async () => {
  const { guest, job, objects, prefix, names, world } = await asked();
  expect((await guest.signed(`/logs/${job}/${object}`, "one\ntwo\nthree")).status).toBe(200);
  expect((await guest.signed(`/logs/${job}/metafile`, "{}")).status).toBe(200);
  expect(await names()).toEqual([`${prefix}${object}`, `${prefix.slice(0, -1)}_metafile`]);
  const info = await objects.head(container, prefix + object, call);
  expect(info).toMatchObject({ bytes: 13, meta: { lines: "3", "log-name": "general" }, expiresAt: new Date(world.clock.now().getTime() + 2_592_000_000) });
});

test("the same again is the same object; a discard removes all of this log and nothing else", async () => {
  const { guest, job, objects, names, id } = await asked();
  const other = `${id}/postgresql-guest/log-1`;
  await objects.put(container, other, (async function* () { yield Buffer.from("x"); })(), {}, call);
  for (let count = 0; count < 2; count++) await guest.signed(`/logs/${job}/${object}`, "one\n");
  await guest.signed(`/logs/${job}/metafile`, "{}");
  expect((await names())?.length).toBe(3);
  for (let count = 0; count < 2; count++) expect((await guest.signed(`/logs/${job}/discard`, "{}")).status).toBe(200);
  expect(await names()).toEqual([other]);
});

test("nothing is taken without a job that waits for it", async () => {
  const { guest, job, names, enqueue, booted, id } = await asked();
  const users = await enqueue(id, "create_users", { users: [] });
  for (const wrong of [randomUUID(), users]) expect((await guest.signed(`/logs/${wrong}/${object}`, "x")).status).toBe(409);
  const { guest: stranger, id: other } = await booted();
  expect(other).not.toBe(id);
  await stranger.enrol();
  expect((await stranger.signed(`/logs/${job}/${object}`, "x")).status).toBe(409);
  await guest.sync({ results: [{ id: job, ok: true }] });
  for (const what of [object, "discard", "metafile"]) expect((await guest.signed(`/logs/${job}/${what}`, "x")).status).toBe(409);
  expect(await names()).toBeUndefined();
});

test.each<[string, string, number]>([
  ["a name out of the prefix", "..%2F..%2Fother", 400],
  ["another kind of name", "anything", 400],
  ["a name that goes on", `${object}x`, 400],
])("%s is refused", async (_, name, status) => {
  const { guest, job, names } = await asked();
  expect((await guest.signed(`/logs/${job}/${name}`, "x")).status).toBe(status);
  expect((await guest.signed(`/logs/no-uuid/${object}`, "x")).status).toBe(400);
  expect(await names()).toBeUndefined();
});

test("an upload that is not signed as it is, or too long, is refused", async () => {
  const { guest, job, names } = await asked();
  const path = `/logs/${job}/${object}`;
  expect((await guest.post(path, "x")).status).toBe(401);
  expect((await guest.post(path, "another", guest.signature(path, "x"))).status).toBe(401);
  expect((await guest.signed(path, "x", { signs: { path: `/logs/${job}/metafile` } })).status).toBe(401);
  const replayed = guest.signature(path, "x");
  expect([(await guest.post(path, "x", replayed)).status, (await guest.post(path, "x", replayed)).status]).toEqual([200, 401]);
  expect((await guest.signed(path, "x".repeat(LOG_UPLOAD_BYTES + 1))).status).toBe(400);
  expect((await names())?.length).toBe(1);
});

test("what a guest says of its logs is kept, and what it does not say stays", async () => {
  const { guest, id, world } = await asked();
  const logs = [{ name: "general", type: "USER", enabled: true, published: 5, pending: 7, rotated: false }];
  const kept = async () => (await world.db.owner`select logs from guest where instance_id = ${id}`)[0]?.logs as unknown;
  const report = { serviceStatus: "healthy", agentVersion: "test" };
  await guest.sync({ report: { ...report, logs } });
  await guest.sync({ report });
  expect(await kept()).toEqual(logs);
  expect((await guest.sync({ report: { ...report, logs: [{ ...logs[0], pending: -1 }] } })).status).toBe(400);
});
