import { majors } from "#test/support/extent";
import { expect, test } from "vitest";
import { scramVerifier } from "#core/guest/scram";
import { until } from "#test/guest/agent-rig";
import { objectStore, station, type Store } from "#test/guest/backup-rig";
import { seeded } from "#test/support/random";
import { startWriter, stateAfter, type Recorder } from "#test/support/writer";

const call = () => ({ signal: new AbortController().signal });
const namesOf = async (store: Store, prefix: string) => ((await store.store.list({ projectId: "p", name: "wal" }, { prefix, limit: 1000 }, call())) ?? []).map(({ name }) => name);

async function archived(store: Store, major = "17") {
  const source = await station(store, { archive: true, major, speed: 12 });
  await source.prepare({ databases: [{ name: "app" }], users: [{ name: "ann", verifier: await scramVerifier("a"), databases: ["app"] }] });
  return {
    ...source,
    connect: () => source.engine.connect("ann", "a", "app"),
    /** Ends the segment, as archive_timeout does in time. */
    turn: () => source.engine.inside("postgres", (sql) => sql`select pg_switch_wal()`),
    /** What an idle server writes for itself keeps the window back until a segment ends, as `archive_timeout` sees to: here at once. */
    reaches: (time: string) =>
      until(
        `the window reaching ${time}`,
        async () => {
          if ((source.archive()?.latest ?? "") >= time) return true;
          await source.engine.inside("postgres", (sql) => sql`select pg_switch_wal()`);
          return false;
        },
        60_000,
      ),
  };
}

/** The state at a time: all that was acknowledged by then, and nothing that was begun later. */
function expectedAt({ times }: Recorder, at: number): [number, number] {
  return [times.findLastIndex(({ acknowledged }) => acknowledged <= at), times.findLastIndex(({ begun }) => begun <= at)];
}

const seed = process.env["COFFER_TEST_SEED"] ?? "1";
const rounds = Number(process.env["COFFER_PITR_POINTS"] ?? 2);

for (const major of majors) {
  test(`PostgreSQL ${major}: what was committed at any second since a backup can be restored, and nothing later (seed ${seed})`, async () => {
    const store = await objectStore();
    const source = await archived(store, major);
    const writer = await startWriter(source.connect(), 20);
    await until("some steps", () => writer.acknowledged > 10);
    const { result, stored } = await source.backup();
    await source.turn();
    const after = Date.parse(result.stoppedAt) + 3000;
    await until("more steps, for some seconds", () => writer.acknowledged > 150 && Date.now() > after, 30_000);
    await writer.stop();
    const end = new Date().toISOString();
    await source.turn();
    await source.reaches(end);
    const from = Math.ceil(Date.parse(result.stoppedAt) / 1000);
    const to = Math.floor(Date.parse(end) / 1000);
    const random = seeded(seed);
    for (let round = 0; round < rounds; round++) {
      // The last one may lie behind all that was committed.
      const second = round === 0 ? to : from + random.below(Math.max(1, to - from));
      const [least, most] = expectedAt(writer, second * 1000);
      const target = await station(store, { walOf: source.plane.boot.instanceId, major });
      const time = new Date(second * 1000).toISOString();
      expect(await target.prepare({ volumeGb: 2, restore: { chain: [stored], until: { time } } })).toMatchObject({ ok: true });
      const found = await stateAfter(target.engine.connect("ann", "a", "app"));
      expect(found.step).toBeGreaterThanOrEqual(least);
      expect(found.step).toBeLessThanOrEqual(most);
      expect(found.digest).toBe(writer.digestAt(found.step));
    }
  }, 240_000);
}

test("an idle server's window moves on although nothing is archived", async () => {
  const store = await objectStore();
  const source = await archived(store);
  await source.turn();
  await until("a window", () => source.archive()?.latest !== undefined, 60_000);
  const first = source.archive()?.latest ?? "";
  const pieces = (await namesOf(store, source.plane.boot.instanceId)).length;
  await until("a later end", () => (source.archive()?.latest ?? "") > first, 60_000);
  expect((await namesOf(store, source.plane.boot.instanceId)).length).toBeLessThanOrEqual(pieces + 1);
  expect(source.archive()).toMatchObject({ gaps: [], timeline: 1 });
}, 150_000);

test("while the store is away pieces wait, without end of the server's work; when it is back all are stored and no gap is left", async () => {
  const store = await objectStore();
  const source = await archived(store);
  const sql = source.connect();
  await sql`create table t (n int)`;
  await source.turn();
  await until("a window", () => source.archive()?.latest !== undefined, 60_000);
  store.state.away = true;
  for (let at = 0; at < 5; at++) {
    await sql`insert into t values (${at})`;
    await source.turn();
  }
  await until("the trouble in the report", () => source.archive()?.error !== undefined && (source.archive()?.pendingBytes ?? 0) > 0, 60_000);
  // Another agent goes on where this one was.
  await source.replace();
  store.state.away = false;
  const end = new Date().toISOString();
  await sql`insert into t values (99)`;
  await source.turn();
  await source.reaches(end);
  // The last segment that was ended may still be on its way.
  await until("all pieces stored", () => source.archive()?.pendingBytes === 0, 60_000);
  expect(source.archive()).toMatchObject({ gaps: [] });
  const segments = (await namesOf(store, source.plane.boot.instanceId)).flatMap((name) => /([0-9A-F]{24})$/.exec(name)?.[1] ?? []).map((name) => Number.parseInt(name.slice(16), 16));
  expect(segments).toEqual(Array.from({ length: segments.length }, (_, at) => (segments[0] ?? 0) + at));
}, 180_000);
