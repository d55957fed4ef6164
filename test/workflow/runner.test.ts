import { afterEach, beforeEach, expect, test } from "vitest";
import { Crash } from "#core/failpoint";
import { setSink } from "#core/log";
import { Runner } from "#core/workflow/run";
import { step, type StepInput, type StepResult } from "#core/workflow/step";
import { until } from "#test/support/cluster";
import { createWorld, type World } from "#test/support/world";

/** The runner of one machine on a real operation row, with labels by script and a clock that stands still. */
let world: World;
let runner: Runner;
let said: { message: string }[];
let restore: () => void;
/** How often a label was asked for. */
let calls: number;
let label: (input: StepInput) => Promise<StepResult>;
/** What the runner's own look at the database fails with. */
let away: Error | undefined;

beforeEach(async () => {
  world = await createWorld();
  said = [];
  const previous = setSink((line) => said.push(line));
  restore = () => void setSink(previous);
  calls = 0;
  away = undefined;
  label = () => Promise.resolve({ next: "end", outcome: "done" });
  runner = new Runner({
    step: (input) => {
      calls++;
      return label(input);
    },
    clock: world.clock,
    inContext: (work) => (away ? Promise.reject(away) : world.asSystem(work)),
  });
});
afterEach(async () => {
  await runner.stop();
  restore();
  await world.close();
});

const nowhere: StepInput = { operationId: "00000000-0000-4000-8000-000000000000", run: 1 };
const begun = async (): Promise<StepInput & { instanceId: string }> => {
  const instanceId = await world.create();
  const run = (await world.running()).find((one) => one.instanceId === instanceId);
  if (!run) throw new Error("no run");
  return { operationId: run.id, run: run.run, instanceId };
};
const asleep = (count = 1) => until(() => world.clock.sleepers() === count, `${count} sleeping`);
const messages = (text: string) => said.filter(({ message }) => message === text).length;
/** A label that the test ends. */
function held() {
  let finish: (result: StepResult) => void = () => {};
  const result = new Promise<StepResult>((resolve) => (finish = resolve));
  return { result, finish };
}

test("a run that is carried is not started twice: the second start only has it look at once", async () => {
  const input = await begun();
  const { result, finish } = held();
  label = () => (calls === 1 ? result : Promise.resolve({ next: "end", outcome: "done" }));
  await Promise.all([runner.start(input), runner.start(input), runner.start(input)]);
  await until(() => calls === 1, "the label");
  await runner.start(input);
  expect(calls).toBe(1);
  finish({ next: "wait", label: "x", seconds: 3600 });
  await runner.settled();
  expect(calls).toBe(2);
});

test("a wake while a label runs is kept for the wait behind it; one for another instance is not", async () => {
  const input = await begun();
  const first = held();
  const second = held();
  label = () => (calls === 1 ? first.result : calls === 2 ? second.result : Promise.resolve({ next: "end", outcome: "done" }));
  await runner.start(input);
  await until(() => calls === 1, "the first label");
  runner.wake(input.instanceId);
  first.finish({ next: "wait", label: "x", seconds: 3600 });
  await until(() => calls === 2, "the second label, an hour early");
  runner.wake("another instance");
  second.finish({ next: "wait", label: "x", seconds: 3600 });
  await asleep();
  expect(calls).toBe(2);
  world.clock.advance(3_600_000);
  await runner.settled();
  expect(calls).toBe(3);
});

test("a stop lets the running label end, begins no other, and takes no new run", async () => {
  const [input, late] = [await begun(), await begun()];
  const { result, finish } = held();
  let ended = false;
  label = () => result.finally(() => (ended = true));
  await runner.start(input);
  await until(() => calls === 1, "the label");
  const stopped = runner.stop().then(() => ended);
  await runner.start(late);
  expect(ended).toBe(false);
  finish({ next: "go", label: "next" });
  expect(await stopped).toBe(true);
  expect(calls).toBe(1);
});

test("a stop does not wait for the end of a pause", async () => {
  label = () => Promise.resolve({ next: "wait", label: "x", seconds: 3600 });
  await runner.start(await begun());
  await asleep();
  await runner.stop();
  expect(calls).toBe(1);
});

test("a crash ends the run without a word or another label; started again it goes on", async () => {
  const input = await begun();
  label = () => (calls === 1 ? Promise.reject(new Crash("here")) : Promise.resolve({ next: "end", outcome: "done" }));
  await runner.start(input);
  await runner.settled();
  expect([calls, messages("step could not be run")]).toEqual([1, 0]);
  await runner.start(input);
  await runner.settled();
  expect(calls).toBe(2);
});

test("with the database away a run is tried again with growing pauses, and goes on when it is back", async () => {
  const input = await begun();
  away = new Error("connection refused");
  await runner.start(input);
  let waited = 0;
  for (const seconds of [0.5, 1, 2, 4, 8, 8]) {
    await asleep();
    expect(calls).toBe(0);
    world.clock.advance(seconds * 1000 - 1);
    expect(world.clock.sleepers()).toBe(1);
    if (seconds === 8 && ++waited === 2) away = undefined;
    world.clock.advance(1);
  }
  await runner.settled();
  expect([calls, messages("step could not be run")]).toEqual([1, 6]);
});

test("a label that cannot reach the database is repeated, and the failures of yesterday do not lengthen the pause", async () => {
  label = () => {
    if (calls === 1 || calls === 3) return Promise.reject(new Error("connection refused"));
    return Promise.resolve(calls === 2 ? { next: "go", label: "x" } : { next: "end", outcome: "done" });
  };
  await runner.start(await begun());
  for (let round = 0; round < 2; round++) {
    await asleep();
    world.clock.advance(500);
  }
  await runner.settled();
  expect(calls).toBe(4);
});

test("a message for an operation that does not exist is looked at a bounded number of times, then dropped with a log line", async () => {
  await runner.start(nowhere);
  let looks = 1;
  for (; messages("run dropped: no such operation") === 0; looks++) {
    expect(looks).toBeLessThan(20);
    await until(() => world.clock.sleepers() === 1 || messages("run dropped: no such operation") === 1, "the next look");
    world.clock.advance(8_000);
  }
  await runner.settled();
  expect(looks).toBeGreaterThan(4);
  expect([calls, world.clock.sleepers()]).toEqual([0, 0]);
});

test("a message that arrives before its commit is visible is carried as soon as it is", async () => {
  const { instanceId, operationId, run } = await begun();
  // As another connection sees it before the commit: not there.
  const [row] = await world.db.owner`select * from operation where id = ${operationId}`;
  if (!row) throw new Error("no row");
  await world.db.owner`delete from operation where id = ${operationId}`;
  await runner.start({ operationId, run });
  await asleep();
  await world.db.owner`insert into operation ${world.db.owner(row)}`;
  world.clock.advance(8_000);
  await runner.settled();
  expect(calls).toBe(1);
  expect((await world.row(instanceId)).task).toBe("BUILDING");
});

test("a run whose row goes meanwhile is dropped too", async () => {
  const input = await begun();
  label = () => Promise.resolve({ next: "busy", seconds: 2 });
  await runner.start(input);
  await asleep();
  await world.db.owner`delete from operation where id = ${input.operationId}`;
  while (messages("run dropped: no such operation") === 0) {
    await until(() => world.clock.sleepers() === 1 || messages("run dropped: no such operation") === 1, "the next look");
    world.clock.advance(8_000);
  }
  await runner.settled();
  expect(calls).toBe(1);
});

test("real labels: a create is carried from its message to its end, woken by what its guest reports", async () => {
  const input = await begun();
  label = (given) => world.asSystem(() => step(given, world.workshop, "runner"));
  await runner.start(input);
  while ((await world.running()).length > 0) {
    await until(async () => world.clock.sleepers() > 0 || (await world.running()).length === 0, "a wait or the end");
    await world.guestsAct();
    runner.wake(input.instanceId);
    world.clock.advance(2_000);
  }
  await runner.settled();
  expect(await world.row(input.instanceId)).toMatchObject({ task: "NONE", serverState: "ACTIVE", serviceStatus: "healthy" });
});
