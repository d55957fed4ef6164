import { afterEach, beforeEach, expect, test } from "vitest";
import type { Sink as EventSink } from "#core/event/drain";
import { setSink, type Sink } from "#core/log";
import { settleRate } from "#core/quota/rate";
import { due, takeOver } from "#core/workflow/step";
import { createSweep, SILENT_SECONDS } from "#functions/cron/sweep";
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

const sweep = (sink?: EventSink) =>
  createSweep({
    db: world.db.system,
    publisher: { publish: (messages) => Promise.resolve(messages.map(({ id }) => id)) },
    executions: { start: () => Promise.resolve() },
    workshop: world.workshop,
    config: world.config,
    sink,
    clock: world.clock,
  })();
const said = (message: string) => lines.filter((line) => line.message === message).map(({ count }) => count);

test("the sweep counts guests that were not heard of, and no longer once they report", async () => {
  await world.create();
  await world.create({ name: "other" });
  await world.drive();
  world.clock.advance((SILENT_SECONDS - 1) * 1000);
  await world.guestsAct((await world.live())[0]?.id);
  await sweep();
  expect(said("guests are silent")).toEqual([]);
  world.clock.advance(2 * 60_000);
  await sweep();
  expect(said("guests are silent")).toEqual([1]);
  await world.guestsAct();
  await sweep();
  expect(said("guests are silent")).toEqual([1]);
  expect(said("sweep failed")).toEqual([]);
});

test("a start takes over what was between two looks when everything was killed, without waiting for its wake", async () => {
  await world.create();
  const [run] = await world.running();
  if (!run) throw new Error("no run");
  world.silence(true);
  let waits = 0;
  while (waits < 2) {
    const result = await world.stepOnce({ operationId: run.id, run: run.run }, "killed");
    if (result !== "crashed" && result.next === "wait") waits++;
  }
  expect(await world.asSystem(() => due())).toEqual([]);
  expect(await world.asSystem(takeOver)).toBe(1);
  world.clock.advance(1);
  expect(await world.asSystem(() => due())).toEqual([{ operationId: run.id, run: run.run }]);
});

test("the sweep tells of every instance each hour and delivers it; a listener that is away is counted, and fails nothing", async () => {
  await world.create();
  await world.drive();
  const types: string[] = [];
  let away = false;
  const sink: EventSink = {
    deliver: (events) => {
      if (away) return Promise.reject(new Error("away"));
      types.push(...events.map(({ event_type }) => event_type));
      return Promise.resolve(events.map(({ message_id }) => message_id));
    },
  };
  await sweep(sink);
  expect(types).toEqual(["dbaas.instance_create.start", "trove.instance.create", "dbaas.instance_create.end"]);
  world.clock.advance(3600_000);
  await world.guestsAct();
  await sweep(sink);
  expect(types.slice(3)).toEqual(["trove.instance.exists"]);
  away = true;
  world.clock.advance(3600_000);
  await world.guestsAct();
  await sweep(sink);
  expect(said("events are not taken")).toEqual([]);
  world.clock.advance(16 * 60_000);
  await world.guestsAct();
  await sweep(sink);
  expect(said("events are not taken")).toEqual([1]);
  expect(said("sweep failed")).toEqual([]);
});

test("the sweep forgets the rates of projects that ask no more, and of no other", async () => {
  const take = (projectId: string, count: number) => world.asSystem(() => settleRate({ projectId, method: "GET", count, perMinute: 100 }));
  await take("idle", 500);
  world.clock.advance(5 * 60_000);
  await take("busy", 500);
  await sweep();
  const left = async () => (await world.db.owner`select project_id from rate_bucket`).map(({ project_id }) => project_id as string).sort();
  expect(await left()).toEqual(["busy", "idle"]);
  world.clock.advance(6 * 60_000);
  await sweep();
  expect(await left()).toEqual(["busy"]);
  // One that is not there is full, as the one that went had become.
  expect(await take("idle", 1)).toBe(99);
});
