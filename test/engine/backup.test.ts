import { majors } from "#test/support/extent";
import { afterEach, describe, expect, test } from "vitest";
import { restoreFrom, take, type Taken } from "#test/support/archive";
import { engineRig, settings, startedEngine, type Rig } from "#test/support/engine";
import { until } from "#test/support/cluster";
import { startWriter, stateAfter, type Recorder } from "#test/support/writer";

const rigs: Rig[] = [];
const kept = async (rig: Promise<Rig>) => {
  rigs.push(await rig);
  return rig;
};
afterEach(() => Promise.all(rigs.splice(0).map((rig) => rig.close())));

async function serving(major: string) {
  const rig = await kept(startedEngine(major));
  await rig.engine.createDatabases({ databases: [{ name: "app" }] });
  await rig.user("ann", "a", ["app"]);
  const sql = rig.connect("ann", "a", "app");
  await sql`create table filler as select n, repeat(md5(n::text), 10) as text from generate_series(1, 30000) n`;
  await sql`create index on filler (text)`;
  await sql`create unlogged table volatile as select generate_series(1, 1000) as n`;
  const writer = await startWriter(rig.connect("ann", "a", "app"));
  return { rig, writer };
}

/** The writer's table holds what it had committed between two of its steps, and nothing else; every page has its checksum. */
async function holds(rig: Rig, writer: Recorder, from: number, to: number): Promise<number> {
  const sql = rig.connect("ann", "a", "app");
  const found = await stateAfter(sql);
  expect(found.step).toBeGreaterThanOrEqual(from);
  expect(found.step).toBeLessThanOrEqual(to);
  expect(found.digest).toBe(writer.digestAt(found.step));
  expect(await sql`select count(*)::int as rows, count(distinct text)::int as texts from filler`).toEqual([{ rows: 30_000, texts: 30_000 }]);
  expect(await sql`select count(*)::int as n from volatile`).toEqual([{ n: 0 }]);
  return found.step;
}

for (const major of majors) {
  describe(`PostgreSQL ${major}`, () => {
    test("where a segment of the log has ended nothing lies behind its end until something is written", async () => {
      const { physical } = (await kept(startedEngine(major))).engine;
      if (!physical) throw new Error("this engine is not backed up by copying");
      // The server writes of its own accord now and then.
      await until(async () => {
        await physical.turn();
        return (await physical.position()).lsn % (16n * 1024n * 1024n) === 0n;
      }, "the end of a segment");
    });

    test("a full backup under write load restores what was committed when it ended; users keep their passwords", async () => {
      const { rig, writer } = await serving(major);
      await until(() => writer.acknowledged > 20, "some steps");
      const before = writer.acknowledged;
      const full = await take(rig.engine);
      const after = writer.begun;
      await until(() => writer.acknowledged > after + 5, "steps behind the backup");
      await writer.stop();
      expect(full.facts).toMatchObject({ incremental: false, timeline: 1, engine: { name: "postgresql" } });
      const other = await kept(engineRig(major));
      await restoreFrom(other.engine, [full], { ...settings, memoryMb: 256, volumeGb: 2 });
      await holds(other, writer, before, after);
      const [row] = await other.inside("postgres", (sql) => sql<{ system: string; timeline: number; failed: number }[]>`
        select system_identifier::text as system, (select timeline_id from pg_control_checkpoint()) as timeline,
               (select coalesce(sum(checksum_failures), 0)::int from pg_stat_database) as failed from pg_control_system()`);
      expect(row).toEqual({ system: full.facts.systemIdentifier, timeline: 2, failed: 0 });
      await other.user("eve", "e", ["app"]);
      expect(await other.connect("eve", "e", "app")`select 1 as n`).toEqual([{ n: 1 }]);
    }, 90_000);

    test("increments hold what changed, and a chain of them restores each of its points", async () => {
      const { rig, writer } = await serving(major);
      const sql = rig.connect("ann", "a", "app");
      const points: { chain: Taken[]; before: number; after: number; dropped: boolean }[] = [];
      const point = async (chain: Taken[], dropped: boolean) => {
        const before = writer.acknowledged;
        const taken = await take(rig.engine, chain.at(-1));
        points.push({ chain: [...chain, taken], before, after: writer.begun, dropped });
        return [...chain, taken];
      };
      let chain = await point([], false);
      await sql`create table gone as select generate_series(1, 2000) as n`;
      // All kinds of change that leave traces of their own: new relations, rewritten ones, cut ones, other forks, another database.
      await sql`create index on filler using hash (n)`;
      await sql`create index on filler using brin (n)`;
      await sql`create table places as select point(n, n) as p from filler`;
      await sql`create index on places using gist (p)`;
      await sql`vacuum (freeze) filler`;
      chain = await point(chain, false);
      await sql`drop table gone`;
      await sql`delete from places where p[0] > 10000`;
      await sql`vacuum places`;
      await rig.engine.createDatabases({ databases: [{ name: "late" }] });
      await sql`update filler set n = n where n % 1000 = 0`;
      chain = await point(chain, true);
      await writer.stop();
      expect(chain.map(({ facts }) => facts.incremental)).toEqual([false, true, true]);
      const [full, , last] = chain;
      expect(last!.bytes).toBeLessThan(full!.bytes);
      for (const { chain, before, after, dropped } of points.slice(1)) {
        const other = await kept(engineRig(major));
        await restoreFrom(other.engine, chain, { ...settings, volumeGb: 2 });
        await holds(other, writer, before, after);
        await other.inside("app", async (inside) => {
          expect(await inside`select to_regclass('ann.gone') is null and to_regclass('public.gone') is null as dropped`).toEqual([{ dropped }]);
          // Reads every page of every index and table.
          await inside.unsafe("create extension if not exists amcheck");
          await inside`select bt_index_check(c.oid, true) from pg_class c join pg_am a on a.oid = c.relam where a.amname = 'btree' and c.relkind = 'i' and c.relpersistence = 'p'`;
          await inside.unsafe("set enable_seqscan = off; set enable_bitmapscan = off");
          expect(await inside`select count(*)::int as n from places where p <@ box '((0,0),(1e9,1e9))'`).toEqual([{ n: dropped ? 10_000 : 30_000 }]);
          expect(await inside`select count(*)::int as n from filler where n = 777`).toEqual([{ n: 1 }]);
        });
      }
    }, 180_000);
  });
}
