import { afterEach, beforeEach, expect, test } from "vitest";
import type postgres from "postgres";
import { refusal, settings, startedEngine, type Rig } from "#test/support/engine";
import { until } from "#test/support/cluster";

let rig: Rig;
beforeEach(async () => {
  rig = await startedEngine();
  await rig.engine.createDatabases({ databases: [{ name: "app" }] });
  await rig.user("ann", "a", ["app"]);
  await ann()`create table t as select 1 as n`;
});
afterEach(() => rig.close());

const ann = () => rig.connect("ann", "a", "app");
const insert = (sql: postgres.Sql) => refusal(sql`insert into t values (2)`);
const rows = async () => (await ann()<{ n: number }[]>`select n from t`).map(({ n }) => n);

/** A session in the middle of a transaction that has written. */
async function writer(begin = "begin") {
  const sql = ann();
  await sql.unsafe(begin);
  await sql`insert into t values (7)`;
  return sql;
}
/** Commits and looks; a client that was cut off commits nothing. */
async function isCut(sql: postgres.Sql) {
  await sql.unsafe("commit").catch(() => {});
  return !(await rows()).includes(7);
}
/** The end of a session that was told to end takes a moment. */
const noWriters = () =>
  until(async () => (await rig.inside("postgres", (sql) => sql`select from pg_stat_activity where usename = 'ann' and backend_xid is not null`)).length === 0, "the end of all writers");

test("guarded: sessions old and new read and do not write, and who was at it is cut off", async () => {
  const [idle, busy] = [ann(), await writer()];
  await idle`select 1`;
  await rig.engine.limitWrites("guarded");
  await noWriters();
  expect(await isCut(busy)).toBe(true);
  expect([await insert(idle), await insert(ann())]).toEqual(["25006", "25006"]);
  expect(await rows()).toEqual([1]);
});

test("guarded: who asks to write can make room, and what sorts spill is bounded for everybody", async () => {
  await rig.engine.limitWrites("guarded");
  const sql = ann();
  await sql.unsafe("begin read write; truncate t; commit");
  expect(await rows()).toEqual([]);
  const clearing = await writer("begin read write");
  await rig.engine.limitWrites("guarded");
  expect(await isCut(clearing)).toBe(false);
  expect(await rows()).toEqual([7]);
  expect(await refusal(ann().unsafe("set work_mem = '64kB'; select count(*) from (select n from generate_series(1, 3000000) n order by n desc offset 1) s"))).toBe("53400");
  expect(await refusal(ann().unsafe("set temp_file_limit = -1"))).toBe("42501");
});

test("closed: who writes all the same is cut off each time, whatever he has set for himself; readers stay", async () => {
  await rig.inside("app", (sql) => sql`alter role ann set default_transaction_read_only = off`);
  const reader = ann();
  await reader`select 1`;
  await rig.engine.limitWrites("closed");
  for (const begin of ["begin", "begin read write"]) {
    const stubborn = await writer(begin);
    await rig.engine.limitWrites("closed");
    await noWriters();
    expect(await isCut(stubborn)).toBe(true);
  }
  expect(await reader`select n from t`).toEqual([{ n: 1 }]);
  // Short enough to go between two looks.
  await ann().unsafe("begin read write; truncate t; commit");
  expect(await rows()).toEqual([]);
});

test("the agent's own work goes on, also while nobody else may write", async () => {
  await rig.engine.limitWrites("closed");
  await rig.user("bob", "b", ["app"]);
  await rig.engine.deleteUser({ name: "bob" });
  expect((await rig.engine.inventory()).users.map(({ name }) => name)).toEqual(["ann"]);
});

test("a limit outlives restarts and new agents, begins with a server that was down, and ends when it is taken back", async () => {
  await rig.engine.limitWrites("guarded");
  await rig.engine.restart(settings);
  expect(await insert(ann())).toBe("25006");
  await rig.engine.stop();
  await rig.engine.limitWrites("closed");
  await rig.engine.start(settings);
  expect(await rig.inside("app", (sql) => sql`show temp_file_limit`)).toEqual([{ temp_file_limit: "4MB" }]);
  const next = rig.again();
  await next.start(settings);
  await next.limitWrites("guarded");
  expect(await insert(ann())).toBe("25006");
  await next.limitWrites("open");
  expect(await insert(ann())).toBe("");
  expect(await rows()).toEqual([1, 2]);
});

test("a limit that was written down and not taken up is taken up when it is said again", async () => {
  const pid = await rig.pid();
  process.kill(pid, "SIGSTOP");
  const lost = rig.engine.limitWrites("guarded").catch(() => "lost");
  process.kill(pid, "SIGCONT");
  await lost;
  await rig.engine.limitWrites("guarded");
  await until(async () => (await insert(ann())) === "25006", "the limit");
});

test("usage tells what is used, what was asked for, and no more room than the disk below has", async () => {
  const { usedBytes, totalBytes, freeBytes } = await rig.engine.usage();
  expect(totalBytes).toBe(2 ** 30);
  expect(usedBytes).toBeGreaterThan(20 * 2 ** 20);
  expect(freeBytes).toBeGreaterThan(0);
  expect(freeBytes).toBeLessThanOrEqual(totalBytes - usedBytes);
  await rig.engine.applyAccess({ ...settings, volumeGb: 3 });
  expect((await rig.engine.usage()).totalBytes).toBe(3 * 2 ** 30);
});
