import { and, desc, eq, isNull } from "drizzle-orm";
import { backup } from "#core/backup/backup.sql";
import { checkContainer, prefixOf } from "#core/backup/place";
import { idOf, named, unknownBackup, type Backup, type Row } from "#core/backup/row";
import { containerFor } from "#core/backup/strategy";
import type { Config } from "#core/config";
import { newId, now, user } from "#core/context";
import { datastore, datastoreVersion } from "#core/datastore/datastore.sql";
import { inside, transaction } from "#core/db/index";
import { AppError, badRequest } from "#core/error";
import { actionable, lockRunning, move, obstacle } from "#core/instance/gate";
import * as Instance from "#core/instance/row";
import { begin } from "#core/operation/index";
import { charge, defaultLimits } from "#core/quota/index";

export interface NewBackup {
  instanceId: string;
  name: string;
  description?: string;
  /** As a difference to the newest completed one of the instance, if there is one. */
  incremental: boolean;
  /** As a difference to this one. */
  parentId?: string;
  container?: string;
}

/** Engines whose guests make backups. */
const managers: readonly string[] = ["postgresql"];

/**
 * Accepts a backup of an instance (contract §6.12), which shows BACKUP from now on. In the order of refusals: an
 * instance that is not there (404), gate A (422), a replica (400), an engine without backups (501), the parent (404, 400), the quota (413).
 */
export async function create(wish: NewBackup, config: Config): Promise<Backup> {
  if (wish.container !== undefined) checkContainer(wish.container);
  const instanceId = Instance.idOf(wish.instanceId);
  const { projectId, userId } = user();
  return transaction(async (tx) => {
    await lockRunning(instanceId);
    const id = newId();
    const source = await move(instanceId, { set: { backupId: id }, when: actionable() }, obstacle);
    // Its server writes no log of its own, which a backup would have to lead to.
    if (source.replicaOf !== null) throw badRequest(`Instance ${source.id} is a replica: it is backed up with its source.`, { reason: "backup.replica", next: `Back up instance ${source.replicaOf}, which holds the same data.` });
    const runs = await versionOf(source.datastoreVersionId);
    if (!managers.includes(runs.manager)) throw new AppError("notImplemented", `Backups of datastore '${runs.datastore.name}' are not supported.`, { reason: "backup.manager" });
    const parent = await parentOf(wish, instanceId);
    const at = now();
    const row = {
      id,
      createdAt: at,
      updatedAt: at,
      projectId,
      createdBy: userId,
      name: wish.name,
      description: wish.description ?? null,
      instanceId,
      datastoreVersionId: source.datastoreVersionId,
      state: "NEW",
      parentId: parent?.id ?? null,
      container: wish.container ?? (await containerFor(projectId, instanceId)),
      prefix: prefixOf(id),
      objectsOf: id,
      rootEnabled: source.rootEnabled,
    } as const;
    const [stored] = await tx.insert(backup).values(row).returning();
    if (!stored) throw new Error("the backup was not stored");
    await charge(projectId, { backups: 1 }, defaultLimits(config));
    await begin({ instanceId, projectId: source.projectId, kind: "backup", input: { backupId: id }, subject: { backup_id: id }, traits: { name: row.name, description: row.description, parent_id: row.parentId } });
    return { backup: stored, datastore: runs.datastore, version: runs.version };
  });
}

/** The parent that was named, or the newest completed backup of the instance; undefined = the backup is to be whole. */
async function parentOf({ parentId, incremental }: NewBackup, instanceId: string): Promise<Row | undefined> {
  if (parentId !== undefined) {
    const [row] = await inside().select().from(backup).where(named(idOf(parentId))).for("share");
    if (!row) throw unknownBackup(parentId);
    const why = row.instanceId !== instanceId ? "it is of another instance" : row.projectId !== user().projectId ? "it is another project's" : row.state !== "COMPLETED" ? `its status is ${row.state}` : undefined;
    if (why) throw badRequest(`parent_id: backup ${row.id} cannot be the parent of this one: ${why}.`, { reason: "backup.parent", next: "Name a COMPLETED backup of the same instance, or none." });
    return row;
  }
  if (!incremental) return undefined;
  const [row] = await inside()
    .select()
    .from(backup)
    .where(and(eq(backup.instanceId, instanceId), eq(backup.projectId, user().projectId), eq(backup.state, "COMPLETED"), isNull(backup.deletedAt)))
    .orderBy(desc(backup.updatedAt), desc(backup.id))
    .limit(1)
    .for("share");
  return row;
}

async function versionOf(id: string) {
  const [row] = await inside()
    .select({ datastore: { name: datastore.name }, version: { name: datastoreVersion.name }, manager: datastoreVersion.manager })
    .from(datastoreVersion)
    .innerJoin(datastore, eq(datastore.id, datastoreVersion.datastoreId))
    .where(eq(datastoreVersion.id, id));
  if (!row) throw new Error(`there is no datastore version ${id}`);
  return row;
}
