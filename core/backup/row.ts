import { and, desc, eq, inArray, isNull, type SQL } from "drizzle-orm";
import { backup, type BackupState } from "#core/backup/backup.sql";
import { user } from "#core/context";
import { datastore, datastoreVersion } from "#core/datastore/datastore.sql";
import { read } from "#core/db/index";
import { notFound } from "#core/error";
import { isUuid } from "#core/id";

export type Row = typeof backup.$inferSelect;

/** A backup with the names its views need. */
export interface Backup {
  backup: Row;
  datastore: { name: string };
  version: { name: string };
}

export const running: readonly BackupState[] = ["NEW", "BUILDING", "SAVING"];
export const isRunning = () => inArray(backup.state, [...running]);
/** What can be restored. */
export const restorable: readonly BackupState[] = ["COMPLETED", "RESTORED"];

/** Rows the actor may see: the project's own, and every project's for an admin. */
const mine = () => (user().isAdmin ? undefined : eq(backup.projectId, user().projectId));
/** The live backup with this id, if the actor may see it. */
export const named = (id: string) => and(eq(backup.id, id), isNull(backup.deletedAt), mine());

export const unknownBackup = (id: string) => notFound(`Backup ${id} cannot be found.`, { reason: "backup.unknown" });

/** A word that is no id names nothing: clients try a name before they list (contract §10.2). */
export function idOf(id: string): string {
  if (!isUuid(id)) throw unknownBackup(id);
  return id.toLowerCase();
}

const select = (where: SQL | undefined, page: { limit: number; offset: number }): Promise<Backup[]> =>
  read((tx) =>
    tx
      .select({ backup, datastore: { name: datastore.name }, version: { name: datastoreVersion.name } })
      .from(backup)
      .innerJoin(datastoreVersion, eq(datastoreVersion.id, backup.datastoreVersionId))
      .innerJoin(datastore, eq(datastore.id, datastoreVersion.datastoreId))
      .where(and(isNull(backup.deletedAt), where))
      .orderBy(desc(backup.updatedAt), desc(backup.id))
      .limit(page.limit)
      .offset(page.offset),
  );

/** One backup; 404. */
export async function get(id: string): Promise<Backup> {
  const [row] = await select(named(idOf(id)), { limit: 1, offset: 0 });
  if (!row) throw unknownBackup(id);
  return row;
}

export interface Filter {
  instanceId?: string;
  datastoreId?: string;
  /** Absent = the actor's own. */
  projectId?: string;
  /** Of all projects. Like another project's, for admins only. */
  everywhere?: boolean;
}

export interface Page {
  limit: number;
  offset: number;
}

/** A page, latest change first; a full page has a next one (contract §0.6). */
export async function list({ instanceId, datastoreId, projectId = user().projectId, everywhere = false }: Filter, { limit, offset }: Page): Promise<{ rows: Backup[]; next?: string }> {
  if (instanceId !== undefined && !isUuid(instanceId)) return { rows: [] };
  const rows = await select(
    and(
      everywhere ? undefined : eq(backup.projectId, projectId),
      instanceId === undefined ? undefined : eq(backup.instanceId, instanceId.toLowerCase()),
      datastoreId === undefined ? undefined : eq(datastoreVersion.datastoreId, datastoreId),
    ),
    { limit, offset },
  );
  return { rows, ...(rows.length === limit && { next: String(offset + limit) }) };
}
