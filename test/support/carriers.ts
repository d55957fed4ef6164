import { createStep } from "#functions/workflow/step";
import { createTask } from "#functions/workflow/task";
import type { Kind } from "#core/operation/index";
import { render, type Machine } from "#core/workflow/asl";
import { LEASE_SECONDS } from "#core/workflow/context";
import type { Workflow } from "#core/workflow/define";
import { workflows } from "#core/workflow/index";
import { Runner } from "#core/workflow/run";
import type { StepInput, StepResult, StepTask } from "#core/workflow/step";
import { execute, type Execution } from "#test/support/machine";
import type { World } from "#test/support/world";

export type Run = StepInput & { kind: Kind; instanceId: string };
export type Step = (task: StepTask) => Promise<StepResult>;

/** Carries one run as far as it gets; Step Functions tell what they did. */
export type Carrier = (world: World, run: Run, step: Step) => Promise<Execution | undefined>;

/** The step handler of the product over the world's fakes; after every label the guests act. */
export function stepOf(world: World, { instanceId }: Pick<Run, "instanceId">): Step {
  const { db, workshop, clock, random } = world;
  const publisher = { publish: (messages: { id: string }[]) => Promise.resolve(messages.map(({ id }) => id)) };
  const step = createStep({ db: db.system, workshop, publisher, worker: "w", clock, random });
  return async (task) => {
    const result = await step(task);
    if (result.next === "go") await world.guestsAct(instanceId);
    return result;
  };
}

/** While a run waits the guests act, then the clock moves. */
async function pass(world: World, { instanceId }: Run, seconds: number) {
  await world.guestsAct(instanceId);
  world.clock.advance(seconds * 1000);
}

/** The runner of one machine. A crash ends its process; another one takes over when the lease is over. */
export const byRunner: Carrier = async (world, run, step) => {
  for (let lives = 0; lives < 50; lives++) {
    const runner = new Runner({
      step,
      clock: { now: () => world.clock.now(), sleep: (ms) => pass(world, run, ms / 1000) },
      inContext: world.asSystem,
    });
    await runner.start(run);
    await runner.settled();
    if (!(await world.running()).some(({ id }) => id === run.operationId)) return undefined;
    await pass(world, run, LEASE_SECONDS + 1);
  }
  throw new Error(`the runner did not end ${run.kind}`);
};

const documents = new Map<Workflow, Machine>();
export function documentOf(workflow: Workflow): Machine {
  const document = documents.get(workflow) ?? render(workflow, "arn:aws:lambda:us-east-1:123456789012:function:coffer-step");
  documents.set(workflow, document);
  return document;
}

/** The rendered state machine, interpreted. */
export const byMachine: Carrier = (world, run, step) => byDocument(documentOf(workflows[run.kind]))(world, run, step);

export const byDocument =
  (document: Machine): Carrier =>
  (world, run, step) => {
    const task = createTask(step);
    let seconds = 0;
    return execute(document, { operationId: run.operationId, run: run.run }, async (event) => {
      if (seconds > 0) await pass(world, run, seconds);
      // What Retry waits at first.
      seconds = 1;
      const result = await task(event);
      seconds = "seconds" in result ? result.seconds : 0;
      return result;
    });
  };
