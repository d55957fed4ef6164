import { afterEach, beforeEach, expect, test } from "vitest";
import { setSink, type Sink } from "#core/log";
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

const sweep = () =>
  createSweep({
    db: world.db.system,
    publisher: { publish: (messages) => Promise.resolve(messages.map(({ id }) => id)) },
    executions: { start: () => Promise.resolve() },
    workshop: world.workshop,
    config: world.config,
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
