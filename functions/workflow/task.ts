import * as z from "zod";
import { describe } from "#core/error";
import { log } from "#core/log";
import { BAD_TASK } from "#core/workflow/asl";
import type { StepResult, StepTask } from "#core/workflow/step";

const Input = z.strictObject({
  operationId: z.uuid(),
  run: z.number().int().min(1),
  label: z.string().min(1).optional(),
});

/**
 * What a Task of a rendered state machine calls. Throws `BadTask` for an input that no machine of
 * ours sends. Any other error is one the machine repeats; its text ends in the execution's history,
 * which more people read than our database, so it is without the parameters of a query.
 */
export const createTask =
  (step: (task: StepTask) => Promise<StepResult>) =>
  async (event: unknown): Promise<StepResult> => {
    const parsed = Input.safeParse(event);
    if (!parsed.success) {
      throw Object.assign(new Error(z.prettifyError(parsed.error)), { name: BAD_TASK });
    }
    const { operationId, run, label } = parsed.data;
    try {
      return await step({ operationId, run, ...(label && { label }) });
    } catch (error) {
      log.error("step could not be run", { operation: operationId, error: describe(error) });
      throw Object.assign(new Error(describe(error)), { name: "StepNotRun" });
    }
  };
