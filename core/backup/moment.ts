import { and, asc, desc, eq, isNull } from "drizzle-orm";
import { backup, walArchive } from "#core/backup/backup.sql";
import { get, type Row } from "#core/backup/row";
import { read } from "#core/db/index";
import { badRequest } from "#core/error";
import type { Archive } from "#core/guest/protocol";
import * as Instance from "#core/instance/row";

/** What of an instance can be restored by archived WAL. */
export interface Window {
  /** Absent while no backup leads to any moment. */
  earliest?: Date;
  latest?: Date;
  gaps: { from: Date; to: Date }[];
  pendingBytes: number;
  error?: string;
}

export interface Moment {
  /** The instance as it was; or the backup to begin with. */
  instanceId?: string;
  backupId?: string;
  time: Date;
}

const completed = (instanceId: string) => and(eq(backup.instanceId, instanceId), eq(backup.state, "COMPLETED"), isNull(backup.deletedAt));
const reachOf = (instanceId: string) => read((tx) => tx.select({ reach: walArchive.reach }).from(walArchive).where(eq(walArchive.instanceId, instanceId)));

/** The window of an instance, from what its guest reported and the backups that are there; undefined = nothing is archived. One round trip. */
export async function windowOf(instanceId: string): Promise<Window | undefined> {
  const [[archive], rows] = await Promise.all([
    reachOf(instanceId),
    read((tx) => tx.select({ stoppedAt: backup.stoppedAt, systemIdentifier: backup.systemIdentifier }).from(backup).where(completed(instanceId)).orderBy(asc(backup.stoppedAt))),
  ]);
  const reach = archive?.reach;
  if (!reach) return undefined;
  const base = rows.find((row) => row.stoppedAt && leads(row, reach));
  const { gaps, pendingBytes, error } = reach;
  const latest = reach.latest === undefined ? undefined : new Date(reach.latest);
  return {
    ...(base?.stoppedAt && latest && base.stoppedAt <= latest && { earliest: base.stoppedAt, latest }),
    gaps: gaps.map(({ from, to }) => ({ from: new Date(from), to: new Date(to) })),
    pendingBytes,
    ...(error !== undefined && { error }),
  };
}

/** Whether the archive goes on from the end of a backup. */
const leads = ({ stoppedAt, systemIdentifier }: Pick<Row, "stoppedAt" | "systemIdentifier">, reach: Archive) =>
  stoppedAt !== null && systemIdentifier === reach.systemIdentifier && reach.earliest !== undefined && stoppedAt >= new Date(reach.earliest);

/**
 * The backup to begin with for a restore to a moment: the one that is named, or the newest that had ended by then. 404 for an
 * unknown instance or backup; 400, with the bounds, for a moment that the archive does not lead to.
 */
export async function baseOf({ instanceId, backupId, time }: Moment): Promise<Row> {
  const named = backupId === undefined ? undefined : (await get(backupId)).backup;
  const id = named ? named.instanceId : (await Instance.get(instanceId ?? "", { deleted: true })).instance.id;
  if (id === null || (instanceId !== undefined && id !== instanceId)) throw refused(time, `backup ${backupId ?? ""} is not of the instance`);
  const rows = named ? [named] : await read((tx) => tx.select().from(backup).where(completed(id)).orderBy(desc(backup.stoppedAt), desc(backup.id)));
  const base = rows.find(({ stoppedAt }) => stoppedAt !== null && stoppedAt <= time);
  const first = rows.at(-1)?.stoppedAt;
  if (!base?.stoppedAt) throw refused(time, first ? `the first backup ended at ${first.toISOString()}` : "there is no backup of the instance to begin with");
  const reach = (await reachOf(id))[0]?.reach;
  if (!reach?.latest) throw refused(time, "no WAL of the instance is archived");
  if (time > new Date(reach.latest)) throw refused(time, `the archive reaches to ${reach.latest}`);
  if (!leads(base, reach)) throw refused(time, `the archive does not go on from the backup that ended at ${base.stoppedAt.toISOString()}; it begins at ${reach.earliest ?? "no moment"}`);
  const { stoppedAt } = base;
  const gap = reach.gaps.find(({ from, to }) => new Date(from) < time && new Date(to) > stoppedAt);
  if (gap) throw refused(time, `there is a gap in the archive from ${gap.from} to ${gap.to}`);
  return base;
}

const refused = (time: Date, why: string) =>
  badRequest(`restorePoint.targetTime: ${time.toISOString()} cannot be restored: ${why}.`, { reason: "restore.window", next: "GET /instances/{id} shows the window in point_in_time." });
