import { and, eq, inArray } from "drizzle-orm";
import { backup } from "#core/backup/backup.sql";
import { now } from "#core/context";
import { inside } from "#core/db/index";

/**
 * Whatever backup runs at an instance has failed, and what it has stored is to go (contract §5.1, §6.12); in the open
 * transaction. Answers the ids.
 */
export async function failBackups(instanceId: string, why: string): Promise<string[]> {
  const at = now();
  const rows = await inside()
    .update(backup)
    .set({ state: "FAILED", faultMessage: why, updatedAt: at, cleanAt: at })
    .where(and(eq(backup.instanceId, instanceId), inArray(backup.state, ["NEW", "BUILDING", "SAVING"])))
    .returning({ id: backup.id });
  return rows.map(({ id }) => id);
}
