import { and, eq, inArray, isNull, sql, type SQL } from "drizzle-orm";
import { now } from "#core/context";
import { inside } from "#core/db/index";
import { unprocessable } from "#core/error";
import { instance } from "#core/instance/instance.sql";
import { named, unknown, type Instance } from "#core/instance/row";
import { serviceAllowsActions, servicesAllowingActions, statusOf, type Task } from "#core/instance/status";
import { operation } from "#core/operation/operation.sql";

/** The tasks in which nothing is under way. */
export const idle: readonly Task[] = ["NONE", "RESTART_REQUIRED"];

/** Gate A of contract §3.4 as a condition: what may begin an action. */
export const actionable = () =>
  and(
    eq(instance.desired, "present"),
    eq(instance.serverState, "ACTIVE"),
    inArray(instance.task, [...idle]),
    inArray(instance.serviceStatus, [...servicesAllowingActions]),
    isNull(instance.backupId),
  );

/** The words of §3.3: an error task is named by what failed. */
const word = (task: Task) => task.replace(/_ERROR$/, "");

export const refused = (row: Instance, why: string) =>
  unprocessable(`Instance ${row.id} is not currently available for an action to be performed (${why}).`, {
    reason: "instance.busy",
    next: "Wait until the instance is ACTIVE, then repeat the request.",
  });

export const notReady = (row: Instance) =>
  unprocessable(`Instance ${row.id} is not ready.`, {
    reason: "instance.not_ready",
    next: "Wait until the instance has been built, then repeat the request.",
  });

/** Why gate A keeps an instance out, in the gate's order; undefined when it does not. */
export function obstacle(row: Instance) {
  if (row.serverState === "none") return notReady(row);
  if (row.serverState !== "ACTIVE") return refused(row, `instance status was ${statusOf(row)}`);
  if (row.desired === "absent" || !idle.includes(row.task)) return refused(row, `task status was ${word(row.task)}`);
  if (!serviceAllowsActions(row.serviceStatus)) return refused(row, `instance status was ${statusOf(row)}`);
  if (row.backupId !== null) return refused(row, "instance status was BACKUP");
  return undefined;
}

export type RunningOperation = Pick<typeof operation.$inferSelect, "id" | "kind" | "run">;

/**
 * Locks the operation that is running at an instance, in the open transaction. Whatever locks
 * both does so in this order, operation first, as the end of a run does.
 */
export async function lockRunning(id: string): Promise<RunningOperation | undefined> {
  const [row] = await inside()
    .select({ id: operation.id, kind: operation.kind, run: operation.run })
    .from(operation)
    .where(and(eq(operation.instanceId, id), isNull(operation.outcome)))
    .for("update");
  return row;
}

export interface Change {
  set: Partial<typeof instance.$inferInsert>;
  /** The guard: in the same statement as the change, never read before it. */
  when: SQL | undefined;
}

/** Changes an instance the actor may see if the guard holds, in the open transaction; undefined if it does not. */
export async function change(id: string, { set, when }: Change): Promise<Instance | undefined> {
  const [changed] = await inside()
    .update(instance)
    .set({ ...set, updatedAt: now(), version: sql`${instance.version} + 1` })
    .where(and(named(id), when))
    .returning();
  return changed;
}

/** The row as it is now, to say why a guard let nothing through; throws 404. */
export async function look(id: string): Promise<Instance> {
  const [row] = await inside().select().from(instance).where(named(id));
  if (!row) throw unknown(id);
  return row;
}

/** As `change`, but throws the reason that `why` finds. */
export async function move(id: string, wanted: Change, why: (row: Instance) => Error | undefined): Promise<Instance> {
  const changed = await change(id, wanted);
  if (changed) return changed;
  const row = await look(id);
  throw why(row) ?? refused(row, "it was changed by another request meanwhile");
}
