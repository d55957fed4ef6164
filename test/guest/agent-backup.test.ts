import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { scramVerifier } from "#core/guest/scram";
import { until } from "#test/guest/agent-rig";
import { objectStore, station } from "#test/guest/backup-rig";

const user = async (name: string, databases: string[]) => ({ name, verifier: await scramVerifier(name), databases });

test("a backup made by one agent is what another agent's instance begins with; users and databases of the request come on top", async () => {
  const store = await objectStore();
  const source = await station(store);
  await source.prepare({ databases: [{ name: "app" }], users: [await user("ann", ["app"])] });
  await source.engine.connect("ann", "ann", "app")`create table t as select generate_series(1, 1000) as n`;
  const { result, stored } = await source.backup();
  expect(result).toMatchObject({ incremental: false, timeline: 1 });
  const objects = await store.store.list({ projectId: "p", name: "backups" }, { prefix: stored.place.prefix, limit: 1000 }, { signal: new AbortController().signal });
  expect([objects?.length, objects?.reduce((sum, { bytes }) => sum + bytes, 0)]).toEqual([result.parts + 1, result.bytes]);

  const target = await station(store);
  expect(await target.prepare({ volumeGb: 2, restore: { chain: [stored] }, databases: [{ name: "more" }], users: [await user("bob", ["app", "more"])] })).toMatchObject({ ok: true });
  expect(await target.engine.connect("ann", "ann", "app")`select count(*)::int as n from t`).toEqual([{ n: 1000 }]);
  expect(await target.engine.connect("bob", "bob", "more")`select 1 as n`).toEqual([{ n: 1 }]);
  expect(target.plane.syncs.at(-1)?.report).toMatchObject({ serviceStatus: "healthy" });
}, 90_000);

test("a backup is cancelled while it runs; other jobs are done beside it; the next one is whole", async () => {
  const store = await objectStore();
  const source = await station(store);
  await source.prepare({ databases: [{ name: "app" }] });
  // Slow enough to be met in its middle.
  const order = { ...source.order(), limitBytesPerSecond: 2_000_000 };
  const running = source.plane.add("backup", order);
  await until("its progress in a report", () => source.plane.syncs.some(({ report }) => report.progress?.jobId === running && report.progress.bytes > 0));
  expect(await source.job("create_databases", { databases: [{ name: "beside" }] })).toMatchObject({ ok: true });
  expect(source.plane.acknowledged.has(running)).toBe(false);
  expect(await source.job("cancel_backup", { backupId: order.backupId })).toMatchObject({ ok: true });
  expect(await source.ended(running)).toMatchObject({ ok: false, error: "The backup was cancelled." });
  await until("the end of its session", async () => (await source.engine.inside("postgres", (sql) => sql`select from pg_replication_slots`)).length === 0);
  expect((await source.backup()).result.incremental).toBe(false);
}, 90_000);

test("a store that fails for moments costs nothing; an agent that is replaced in the middle makes the backup anew", async () => {
  const store = await objectStore();
  const source = await station(store);
  await source.prepare({ databases: [{ name: "app" }] });
  const order = { ...source.order(), limitBytesPerSecond: 8_000_000 };
  const running = source.plane.add("backup", order);
  await until("its progress in a report", () => source.plane.syncs.some(({ report }) => report.progress?.jobId === running && report.progress.bytes > 0));
  await source.replace();
  store.state.away = true;
  const before = store.state.requests;
  await until("a request in vain", () => store.state.requests > before);
  store.state.away = false;
  const done = await source.ended(running);
  expect(done).toMatchObject({ ok: true });
  const target = await station(store);
  const checksum = String(done?.result?.["checksum"]);
  expect(await target.prepare({ volumeGb: 2, restore: { chain: [{ backupId: order.backupId, checksum, place: order.place }] } })).toMatchObject({ ok: true });
}, 120_000);

test("increments are made by the agent against what the store has; of a damaged parent nothing is taken but a note", async () => {
  const store = await objectStore();
  const source = await station(store);
  await source.prepare({ databases: [{ name: "app" }], users: [await user("ann", ["app"])] });
  const full = await source.backup();
  await source.engine.connect("ann", "ann", "app")`create table t as select 1 as n`;
  const next = await source.backup(full.stored);
  expect(next.result).toMatchObject({ incremental: true });
  const target = await station(store);
  expect(await target.prepare({ volumeGb: 2, restore: { chain: [full.stored, next.stored] } })).toMatchObject({ ok: true });
  expect(await target.engine.connect("ann", "ann", "app")`select n from t`).toEqual([{ n: 1 }]);
  const third = await source.backup({ ...full.stored, checksum: "0".repeat(64) });
  expect(third.result.incremental).toBe(false);
  expect(third.result.note).toContain("a full backup was made");
  const other = await station(store);
  expect(await other.prepare({ restore: { chain: [full.stored, third.stored] } })).toMatchObject({ ok: false, error: expect.stringContaining("the chain does not hold together") as string });
}, 120_000);

test("a damaged backup is refused before the server is called up, and the instance can be made from another", async () => {
  const store = await objectStore();
  const source = await station(store);
  await source.prepare();
  const good = await source.backup();
  const bad = await source.backup();
  const at = { projectId: "p", name: "backups" };
  const call = { signal: new AbortController().signal };
  const name = `${bad.stored.place.prefix}/part-00000002`;
  const found = await store.store.get(at, name, call);
  const pieces: Uint8Array[] = [];
  for await (const piece of found!.content) pieces.push(piece);
  const content = Buffer.concat(pieces);
  content[content.length >> 1]! ^= 1;
  await store.store.put(at, name, (async function* () { yield content; })(), {}, call);
  const target = await station(store);
  expect(await target.prepare({ volumeGb: 2, restore: { chain: [bad.stored] } })).toMatchObject({ ok: false, error: expect.stringContaining("part-00000002 is not what was stored") as string });
  await expect(target.engine.pid()).rejects.toThrow("does not run");
  expect(await target.engine.engine.initialised()).toBe(false);
  expect(await target.prepare({ volumeGb: 2, restore: { chain: [good.stored] } })).toMatchObject({ ok: true });
}, 120_000);

test("a page that does not have its checksum fails the backup, naming file and block", async () => {
  const store = await objectStore();
  const source = await station(store);
  await source.prepare({ databases: [{ name: "app" }], users: [await user("ann", ["app"])] });
  const sql = source.engine.connect("ann", "ann", "app");
  await sql`create table t as select n, repeat('x', 100) as x from generate_series(1, 1000) n`;
  const [row] = await sql<{ path: string }[]>`select pg_relation_filepath('t') as path`;
  await source.engine.inside("app", (inside) => inside`checkpoint`);
  const file = await open(join(source.engine.pgdata, row!.path), "r+");
  await file.write(Buffer.from("damage"), 0, 6, 3 * 8192 + 4000);
  await file.close();
  expect(await source.job("backup", source.order())).toMatchObject({ ok: false, error: expect.stringContaining(`block 3 of ${row!.path} does not have its checksum`) as string });
}, 90_000);
