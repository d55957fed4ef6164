import { eq } from "drizzle-orm";
import { inside } from "#core/db/index";
import { instance } from "#core/instance/instance.sql";
import type { Task } from "#core/instance/status";
import type { Context } from "#core/workflow/context";

/** The task of an instance at which nothing runs any more, read and held in the transaction that ends the run. */
export async function restingTask(c: Context): Promise<Task> {
  const [row] = await inside().select({ pending: instance.configurationPending }).from(instance).where(eq(instance.id, c.instance.id)).for("no key update");
  return row?.pending ? "RESTART_REQUIRED" : "NONE";
}
