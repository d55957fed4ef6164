import { createHash } from "node:crypto";
import { and, eq } from "drizzle-orm";
import { backup } from "#core/backup/backup.sql";
import { baseOf, type Moment } from "#core/backup/moment";
import { objectCall } from "#core/backup/objects";
import { containerOf, manifestOf } from "#core/backup/place";
import { get, restorable, type Row } from "#core/backup/row";
import { datastore, datastoreVersion } from "#core/datastore/datastore.sql";
import { lineOf } from "#core/datastore/index";
import { read } from "#core/db/index";
import type { ObjectStore } from "#core/driver/objectstore";
import { AppError, badRequest, notFound } from "#core/error";
import type { JobSpec, StoredBackup } from "#core/guest/protocol";

export interface Target {
  datastoreId: string;
  /** The exact number. */
  version: string;
  volumeGb: number;
}

export interface Restoring {
  restore: NonNullable<JobSpec<"prepare">["restore"]>;
  rootEnabled: boolean;
}

const GB = 2 ** 30;

/**
 * What a new instance restores when it is to begin with a backup. Judged in the order of contract §6.3: unknown 404, not
 * COMPLETED or RESTORED 409 (a moment out of reach 400), larger than the volume 403, objects missing 404 or changed 409, of another datastore 400.
 */
export async function restoring(wanted: string | Moment, target: Target, objects: ObjectStore | undefined): Promise<Restoring> {
  const row = typeof wanted === "string" ? (await get(wanted)).backup : await baseOf(wanted);
  if (!restorable.includes(row.state)) {
    throw new AppError("conflict", `Backup ${row.id} cannot be restored: its status is ${row.state}.`, { reason: "backup.state", next: "Wait until it is COMPLETED, or choose another one." });
  }
  const needs = row.dataBytes ?? 0;
  if (needs > target.volumeGb * GB) {
    throw new AppError("forbidden", `Backup ${row.id} needs ${(needs / GB).toFixed(2)} GB, and the volume has ${target.volumeGb} GB.`, { reason: "backup.too_large", next: "Ask for a larger volume." });
  }
  const chain = await chainOf(row);
  for (const one of chain) await demandObjects(one, objects);
  await demandVersion(row, target);
  return { restore: { chain, ...(typeof wanted !== "string" && { until: { time: wanted.time.toISOString() } }) }, rootEnabled: row.rootEnabled };
}

/** A backup and all that it is a difference to, oldest first. */
async function chainOf(row: Row): Promise<StoredBackup[]> {
  const chain: StoredBackup[] = [];
  for (let id: string | null = row.objectsOf; id !== null; ) {
    const [one]: Row[] = await read((tx) => tx.select().from(backup).where(and(eq(backup.id, id as string), eq(backup.projectId, row.projectId))));
    if (!one?.checksum || one.deletedAt) throw missing(id);
    const { projectId, container, prefix } = one;
    chain.unshift({ backupId: one.id, checksum: one.checksum, place: { projectId, container, prefix } });
    id = one.parentId;
  }
  return chain;
}

const missing = (id: string) => notFound(`What is stored of backup ${id} cannot be found.`, { reason: "backup.objects_missing" });

/** 404 for a backup without its manifest, 409 for one whose manifest is another than when it was made. */
async function demandObjects({ backupId, checksum, place }: StoredBackup, objects: ObjectStore | undefined): Promise<void> {
  if (!objects) throw missing(backupId);
  const found = await objects.get(containerOf(place), manifestOf(place.prefix), objectCall());
  if (!found) throw missing(backupId);
  const hash = createHash("sha256");
  for await (const part of found.content) hash.update(part);
  if (hash.digest("hex") === checksum) return;
  throw new AppError("conflict", `What is stored of backup ${backupId} is not what was stored when it was made.`, { reason: "backup.checksum", next: "Choose another backup." });
}

/** The data must be of the same datastore (contract §6.3), of the same line of releases, and not of a later one than the server. */
async function demandVersion(row: Row, target: Target): Promise<void> {
  const [made] = await read((tx) =>
    tx
      .select({ datastoreId: datastoreVersion.datastoreId, name: datastore.name, manager: datastoreVersion.manager, version: datastoreVersion.version })
      .from(datastoreVersion)
      .innerJoin(datastore, eq(datastore.id, datastoreVersion.datastoreId))
      .where(eq(datastoreVersion.id, row.datastoreVersionId)),
  );
  if (!made) throw new Error(`backup ${row.id} is of no datastore version`);
  if (made.datastoreId !== target.datastoreId) throw badRequest(`Backup ${row.id} is of datastore '${made.name}', which the new instance is not.`, { reason: "backup.datastore" });
  const [from, to] = [lineOf(made.manager, made.version), lineOf(made.manager, target.version)];
  if (from === to && !earlier(target.version, made.version)) return;
  throw badRequest(`Backup ${row.id} is of ${made.name} ${made.version}, and the new instance would be ${target.version}: data can be restored into the same or a later release of the line ${from}.`, {
    reason: "backup.version",
    next: `Choose a datastore version of the line ${from}.`,
  });
}

/** Whether a number names an earlier release than another of its line. */
function earlier(one: string, other: string): boolean {
  const parts = (text: string) => text.split(".").map(Number);
  const [a, b] = [parts(one), parts(other)];
  const at = a.findIndex((part, index) => part !== (b[index] ?? 0));
  return at >= 0 && (a[at] ?? 0) < (b[at] ?? 0);
}
