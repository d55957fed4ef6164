import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { system } from "#core/actor";
import { enter } from "#core/context";
import { transaction } from "#core/db/index";
import { drain, lateEvents, purgeEvents, type Envelope, type Sink } from "#core/event/drain";
import { record } from "#core/event/index";
import { setSink } from "#core/log";
import { movableClock, seededRandom, type MovableClock } from "#test/support/clock";
import { testDatabase } from "#test/support/db";

let db: Awaited<ReturnType<typeof testDatabase>>;
let clock: MovableClock;
beforeAll(async () => {
  db = await testDatabase();
  const previous = setSink(() => {});
  return () => void setSink(previous);
});
afterAll(() => db.close());
beforeEach(async () => {
  clock = movableClock();
  await db.owner`delete from event`;
});

const inside = <T>(work: () => Promise<T>) => enter({ db: db.system, actor: system("test"), clock, random: seededRandom(1) }, work);
/** Events `<stream><n>`. */
const happen = (...names: string[]) =>
  inside(() =>
    transaction(async () => {
      for (const name of names) await record({ projectId: "p", stream: name.charAt(0), type: name, publisher: "api", payload: {} });
    }),
  );
const seconds = (count: number) => clock.advance(count * 1000);

/** Takes everything but what `refuses` says; keeps what it was given. */
function listener(refuses: (one: Envelope) => boolean = () => false) {
  const given: Envelope[] = [];
  const sink: Sink = {
    deliver: (events) => {
      given.push(...events);
      return Promise.resolve(events.filter((one) => !refuses(one)).map(({ message_id }) => message_id));
    },
  };
  return { sink, given, types: () => given.map(({ event_type }) => event_type) };
}

test("everything is delivered once, in order within a stream, as a notification with what orders it", async () => {
  await happen("a1", "b1", "a2", "a3", "b2");
  const { sink, given, types } = listener();
  expect(await inside(() => drain(sink))).toBe(5);
  expect(await inside(() => drain(sink))).toBe(0);
  expect(types().filter((type) => type.startsWith("a"))).toEqual(["a1", "a2", "a3"]);
  expect(types().filter((type) => type.startsWith("b"))).toEqual(["b1", "b2"]);
  expect(given[0]).toEqual({ message_id: expect.any(String) as string, publisher_id: "api", event_type: "a1", priority: "INFO", payload: {}, timestamp: "2026-01-01 00:00:00.000000", stream: "a", sequence: expect.any(Number) as number });
});

test("what is refused is tried again later with the same id, and its stream waits for it while others go on", async () => {
  await happen("a1", "a2", "b1", "b2");
  let broken = true;
  const { sink, given, types } = listener(({ event_type }) => broken && event_type === "a1");
  await inside(() => drain(sink));
  expect(types()).toEqual(["a1", "b1", "b2"]);
  await inside(() => drain(sink));
  expect(types()).toHaveLength(3);
  broken = false;
  seconds(2);
  await inside(() => drain(sink));
  expect(types().slice(3)).toEqual(["a1", "a2"]);
  expect(given[3]?.message_id).toBe(given[0]?.message_id);
});

test("a sink that is away is asked ever less often, loses nothing, and gets everything in order once it is back", async () => {
  await happen("a1", "b1");
  let tries = 0;
  const away: Sink = { deliver: () => Promise.reject(new Error(`away ${++tries}`)) };
  const times: number[] = [];
  for (let second = 0; second < 3600; second += 5) {
    const before = tries;
    if (second % 100 === 50) await happen(`a${second}`);
    await inside(() => drain(away));
    if (tries > before) times.push(second);
    seconds(5);
  }
  // Two streams, at most one try of each in 150 s once the back-off has come to its ceiling, and what is new is not pushed.
  expect(times.filter((at) => at > 1800).length).toBeLessThanOrEqual(2 * 12 + 18);
  expect(await inside(lateEvents)).toBeGreaterThan(2);
  seconds(300);
  const { sink, given, types } = listener();
  await inside(() => drain(sink));
  expect(types().filter((type) => type.startsWith("a"))).toEqual(["a1", ...Array.from({ length: 36 }, (_, n) => `a${n * 100 + 50}`)]);
  expect(new Set(given.map(({ message_id }) => message_id)).size).toBe(38);
  expect(await inside(lateEvents)).toBe(0);
});

test("two drainers at once deliver each event once, and never two of a stream side by side", async () => {
  const names = Array.from({ length: 120 }, (_, n) => `${String.fromCharCode(97 + (n % 12))}${n}`);
  await happen(...names);
  const under = new Set<string>();
  const given: Envelope[] = [];
  const sink: Sink = {
    async deliver(events) {
      for (const { stream } of events) expect(under.has(stream)).toBe(false);
      for (const { stream } of events) under.add(stream);
      given.push(...events);
      await new Promise((resolve) => setImmediate(resolve));
      for (const { stream } of events) under.delete(stream);
      return events.map(({ message_id }) => message_id);
    },
  };
  // A drainer that finds everything in another's hands has nothing to do: both go on until all is gone.
  const all = async () => {
    while ((await db.owner`select 1 from event where sent_at is null`).length > 0) await inside(() => drain(sink));
  };
  await Promise.all([all(), all(), all()]);
  expect(given).toHaveLength(120);
  for (const letter of "abcdefghijkl") expect(given.filter(({ stream }) => stream === letter).map(({ event_type }) => event_type)).toEqual(names.filter((name) => name.startsWith(letter)));
});

test("what a drainer that died had in its hands is delivered by another, with the same id", async () => {
  await happen("a1", "a2");
  const died = listener();
  void inside(() => drain({ deliver: (events, signal) => died.sink.deliver(events, signal).then(() => new Promise(() => {})) }));
  await expect.poll(died.types).toEqual(["a1"]);
  const { sink, given, types } = listener();
  await inside(() => drain(sink));
  expect(types()).toEqual([]);
  seconds(31);
  await inside(() => drain(sink));
  expect(types()).toEqual(["a1", "a2"]);
  expect(given[0]?.message_id).toBe(died.given[0]?.message_id);
});

test("what was delivered is forgotten after a day, what was not is kept; where nobody listens everything is forgotten", async () => {
  await happen("a1", "b1");
  await inside(() => drain(listener(({ stream }) => stream === "b").sink));
  seconds(86_399);
  expect(await inside(() => purgeEvents({ nobody: false }))).toBe(0);
  seconds(2);
  expect(await inside(() => purgeEvents({ nobody: false }))).toBe(1);
  expect((await db.owner`select type from event`).map(({ type }) => type as string)).toEqual(["b1"]);
  expect(await inside(() => purgeEvents({ nobody: true }))).toBe(1);
});
