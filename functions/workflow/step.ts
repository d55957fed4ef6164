import { system } from "#core/actor";
import { systemClock, type Clock } from "#core/clock";
import { enter } from "#core/context";
import type { Database } from "#core/db/index";
import { sendOwn, type Publisher } from "#core/db/outbox";
import { describe } from "#core/error";
import { systemRandom, type Random } from "#core/id";
import { log } from "#core/log";
import type { Workshop } from "#core/workflow/context";
import { step, type StepResult, type StepTask } from "#core/workflow/step";

export interface StepDeps {
  /** Connected as `coffer_system`. */
  db: Database;
  workshop: Workshop;
  publisher: Publisher;
  /** Names this worker in leases. */
  worker: string;
  clock?: Clock;
  random?: Random;
}

/** The task behind every state: one label of one run. */
export const createStep =
  ({ db, workshop, publisher, worker, clock = systemClock, random = systemRandom }: StepDeps) =>
  (input: StepTask): Promise<StepResult> =>
    enter({ db, actor: system("workflow"), clock, random }, async () => {
      const result = await step(input, workshop, worker);
      // An end may have begun a destroy; the sweep sends what fails here.
      await sendOwn(publisher).catch((error: unknown) => log.warn("outbox send failed", { error: describe(error) }));
      return result;
    });
