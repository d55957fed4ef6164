import { and, asc, eq, inArray, isNull, lte, min, sql } from "drizzle-orm";
import { backup, walArchive } from "#core/backup/backup.sql";
import { forgetKey } from "#core/backup/keys";
import { removeObjects } from "#core/backup/objects";
import { walPlace } from "#core/backup/place";
import { now } from "#core/context";
import { read, transaction } from "#core/db/index";
import type { ObjectInfo, ObjectStore } from "#core/driver/objectstore";
import { describe } from "#core/error";
import { instance } from "#core/instance/instance.sql";
import { log } from "#core/log";

/** Archives that one sweep looks at, each once in this time. */
const MANY = 20;
const EVERY_MS = 10 * 60_000;
/** By so much the clocks of the store and of the control plane may differ. */
const SKEW_MS = 5 * 60_000;

type Archive = typeof walArchive.$inferSelect;

/**
 * Removes WAL that no backup needs: what was stored before the oldest one that is there was asked for, all where there is
 * none, and the archive itself once its instance is gone as well. Answers how many were looked at.
 */
export async function pruneArchives(objects: ObjectStore): Promise<number> {
  const due = await read((tx) => tx.select().from(walArchive).where(lte(walArchive.pruneAt, now())).orderBy(asc(walArchive.pruneAt)).limit(MANY));
  for (const archive of due) {
    await prune(archive, objects).catch((error: unknown) => log.warn("archive not pruned", { instance: archive.instanceId, error: describe(error) }));
  }
  return due.length;
}

async function prune(archive: Archive, objects: ObjectStore): Promise<void> {
  const { instanceId, grantedUntil } = archive;
  const at = now();
  const asSeen = and(eq(walArchive.instanceId, instanceId), sql`${walArchive.pruneAt} = ${archive.pruneAt.toISOString()}::timestamptz`);
  // Of several sweeps one takes it.
  const taken = await transaction((tx) => tx.update(walArchive).set({ pruneAt: new Date(at.getTime() + EVERY_MS) }).where(asSeen).returning({ id: walArchive.instanceId }));
  if (taken.length === 0) return;
  const [[oldest], [owner]] = await read((tx) =>
    Promise.all([
      tx.select({ at: min(backup.createdAt) }).from(backup).where(and(eq(backup.instanceId, instanceId), inArray(backup.state, ["NEW", "BUILDING", "SAVING", "COMPLETED"]), isNull(backup.deletedAt))),
      tx.select({ deletedAt: instance.deletedAt }).from(instance).where(eq(instance.id, instanceId)),
    ]),
  );
  const needed = oldest?.at ?? null;
  if (needed === null && owner?.deletedAt) {
    const isEmpty = await removeObjects(objects, walPlace(archive));
    if (isEmpty && grantedUntil <= at) {
      await transaction(async (tx) => {
        await tx.delete(walArchive).where(eq(walArchive.instanceId, instanceId));
        await forgetKey(instanceId);
      });
    }
    return;
  }
  const before = ((needed ?? at).getTime() - SKEW_MS) * 1000;
  await removeObjects(objects, walPlace(archive), (object) => isLog(object) && object.modifiedUs < before);
}

/** A segment. What tells of timelines, and how far the archive reaches, stays for as long as the archive does. */
const isLog = ({ name }: ObjectInfo) => /\/[0-9A-F]{24}(\.partial)?$/.test(name);
