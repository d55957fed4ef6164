import { and, eq, sql } from "drizzle-orm";
import * as z from "zod";
import { inside } from "#core/db/index";
import { jobs, type JobKind, type JobResult } from "#core/guest/protocol";
import { instance } from "#core/instance/instance.sql";

const Answer = z.object({ restartRequired: z.array(z.string()) });

/** Stores, in the open transaction, what the end of a job means for the configuration group of its instance. */
export async function settleConfiguration({ instanceId }: { instanceId: string }, kind: JobKind, result: JobResult, spec: Record<string, unknown>): Promise<void> {
  // The server has read all its settings anew, or has been given back those it had.
  if (kind === "restart" || kind === "configure") return rest(instanceId, false, sql`${instance.task}`);
  if (kind !== "apply_configuration") return;
  const { before } = jobs.apply_configuration.parse(spec);
  const answer = Answer.safeParse(result.result);
  const pending = result.ok ? !answer.success || answer.data.restartRequired.length > 0 : before.pending;
  await rest(instanceId, pending, sql`case when ${instance.task} in ('NONE', 'RESTART_REQUIRED') then ${pending ? "RESTART_REQUIRED" : "NONE"} else ${instance.task} end`);
  if (result.ok) return;
  // A deleted instance has no group any more, whatever was under way.
  await inside()
    .update(instance)
    .set({ configurationId: before.configurationId })
    .where(and(eq(instance.id, instanceId), eq(instance.desired, "present")));
}

const rest = (instanceId: string, configurationPending: boolean, task: ReturnType<typeof sql>) =>
  inside().update(instance).set({ configurationPending, task: sql`${task}` }).where(eq(instance.id, instanceId)).then(() => undefined);
