import { expect } from "vitest";
import { arm } from "#core/failpoint";
import type { Kind } from "#core/operation/index";
import { ENDED } from "#core/workflow/asl";
import { workflows } from "#core/workflow/index";
import { byMachine, byRunner, documentOf, stepOf, type Carrier, type Run, type Step } from "#test/support/carriers";
import type { Execution } from "#test/support/machine";
import { picture } from "#test/support/picture";
import type { Stand } from "#test/support/stand";
import type { World } from "#test/support/world";

export type Act = (world: World, id: string) => void | Promise<void>;

/** What happens to a run while it is carried. */
export interface Trouble {
  name: string;
  /** Before the run is carried. */
  first?: Act;
  /** At failpoints, the first time each is reached. */
  at?: Record<string, Act>;
  /** Around the step handler. */
  around?: (step: Step) => Step;
}

/** Carries whatever runs at an instance, one run after the other, to its end. */
export async function carry(world: World, carrier: Carrier, instanceId: string, around?: (step: Step) => Step) {
  const executions = new Map<Kind, Execution>();
  for (let runs = 0; runs < 5; runs++) {
    const run = await runAt(world, instanceId);
    if (!run) return executions;
    const step = stepOf(world, run);
    const execution = await carrier(world, run, around?.(step) ?? step);
    if (execution) executions.set(run.kind, execution);
  }
  throw new Error(`there is no end of runs at ${instanceId}`);
}

/** The run of an instance that has not ended. */
export async function runAt(world: World, instanceId: string): Promise<Run | undefined> {
  const row = (await world.running()).find((one) => one.instanceId === instanceId);
  return row && { operationId: row.id, run: row.run, kind: row.kind as Kind, instanceId };
}

/** One operation under one trouble, from where it can begin to its end. */
export async function course(stand: Stand, carrier: Carrier, trouble: Trouble) {
  const world = await stand.open();
  const id = await stand.begin(world);
  const met: string[] = [];
  const disarms = Object.entries(trouble.at ?? {}).map(([point, act]) => {
    const disarm = arm(point, () => {
      disarm();
      met.push(point);
      return act(world, id);
    });
    return disarm;
  });
  try {
    await trouble.first?.(world, id);
    const executions = await carry(world, carrier, id, trouble.around);
    return { met, executions, seen: { ...(await picture(world, id)), usage: await world.usage() } };
  } finally {
    disarms.forEach((disarm) => disarm());
  }
}

/** In the order in which they were first met: a timeline has one row for each label. */
const onceEach = (names: string[]) => [...new Set(names)];

/**
 * Carries the same trouble by the runner and by the rendered machine: the same points are met, the
 * same rows and resources are left, and the states that the machine showed are the labels of the
 * timeline, in its order. Returns the machine's executions and what was left.
 */
export async function expectSame(stand: Stand, trouble: Trouble) {
  const local = await course(stand, byRunner, trouble);
  const { seen, met, executions } = await course(stand, byMachine, trouble);
  expect(seen).toEqual(local.seen);
  expect(met).toEqual(local.met);
  expect(seen.operations.filter(({ outcome }) => outcome === null)).toEqual([]);
  expect(executions.size).toBeGreaterThan(0);
  for (const [carried, execution] of executions) {
    const { States } = documentOf(workflows[carried]);
    expect(execution.end).toBe(ENDED);
    expect(execution.waits.filter((seconds) => !Number.isInteger(seconds) || seconds < 0)).toEqual([]);
    const shown = onceEach(execution.states.filter((name) => States[name]?.Type === "Task"));
    const traced = seen.operations.find((operation) => operation.kind === carried)?.steps ?? [];
    expect(shown).toEqual(onceEach(traced.map(({ label }) => label)));
  }
  return { executions, seen };
}
