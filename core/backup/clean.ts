import { and, asc, eq, lte, sql } from "drizzle-orm";
import { backup } from "#core/backup/backup.sql";
import { forgetKey } from "#core/backup/keys";
import { removeObjects } from "#core/backup/objects";
import type { Row } from "#core/backup/row";
import { now } from "#core/context";
import { read, transaction } from "#core/db/index";
import type { ObjectStore } from "#core/driver/objectstore";
import { describe } from "#core/error";
import { log } from "#core/log";

/** Backups that one sweep looks at. */
const MANY = 20;
/** Looked at again after this long, when there is more to remove or the store was away. */
const AGAIN_MS = 60_000;

/**
 * Removes the objects of backups that were deleted or have failed; answers how many backups have none left. What a guest was
 * granted may still write, so they are looked for once more when that is over. Only then is the key forgotten.
 */
export async function cleanBackups(objects: ObjectStore): Promise<number> {
  const due = await read((tx) => tx.select().from(backup).where(lte(backup.cleanAt, now())).orderBy(asc(backup.cleanAt)).limit(MANY));
  let count = 0;
  for (const row of due) if (await clean(row, objects)) count++;
  return count;
}

async function clean(row: Row, objects: ObjectStore): Promise<boolean> {
  const at = now();
  const later = new Date(at.getTime() + AGAIN_MS);
  // Of several sweeps one takes it.
  const asSeen = and(eq(backup.id, row.id), sql`${backup.cleanAt} is not distinct from ${row.cleanAt?.toISOString() ?? null}::timestamptz`);
  const taken = await transaction((tx) => tx.update(backup).set({ cleanAt: later }).where(asSeen).returning({ id: backup.id }));
  if (taken.length === 0) return false;
  try {
    const { projectId, container, prefix } = row;
    if (!(await removeObjects(objects, { projectId, container, prefix }))) return false;
  } catch (error) {
    log.warn("backup not removed", { backup: row.id, error: describe(error) });
    if (row.deletedAt) await transaction((tx) => tx.update(backup).set({ state: "DELETE_FAILED" }).where(eq(backup.id, row.id)));
    return false;
  }
  const until = row.grantedUntil;
  const over = until === null || until <= at;
  await transaction(async (tx) => {
    await tx.update(backup).set({ cleanAt: over ? null : until }).where(eq(backup.id, row.id));
    if (over) await forgetKey(row.id);
  });
  return over;
}
