import { sql } from "drizzle-orm";
import { bigint, boolean, index, integer, jsonb, pgTable, primaryKey, text, uuid, type AnyPgColumn } from "drizzle-orm/pg-core";
import { datastoreVersion } from "#core/datastore/datastore.sql";
import { base, bytea, instant } from "#core/db/columns";
import type { Archive } from "#core/guest/protocol";
import { instance } from "#core/instance/instance.sql";

/** Contract §2.6. Those of `running` show their instance as BACKUP. */
export type BackupState = "NEW" | "BUILDING" | "SAVING" | "COMPLETED" | "FAILED" | "DELETE_FAILED" | "RESTORED";

export const backup = pgTable(
  "backup",
  {
    ...base,
    /** Hidden from then on, though objects may still be there. */
    deletedAt: instant("deleted_at"),
    projectId: text("project_id").notNull(),
    createdBy: text("created_by").notNull(),
    name: text("name").notNull(),
    description: text("description"),
    /** Outlives its instance; null = registered by `restore_from`. */
    instanceId: uuid("instance_id").references(() => instance.id),
    datastoreVersionId: uuid("datastore_version_id")
      .notNull()
      .references(() => datastoreVersion.id),
    state: text("state").$type<BackupState>().notNull(),
    /** What it is a difference to; null = it is whole. */
    parentId: uuid("parent_id").references((): AnyPgColumn => backup.id),
    /** Where its objects are, in the project's account: `<prefix>/manifest` and its parts. */
    container: text("container").notNull(),
    prefix: text("prefix").notNull(),
    /** Which backup the objects say they are: another one's for what `restore_from` registered. */
    objectsOf: uuid("objects_of").notNull(),
    /** SHA-256 of the manifest as it is stored, hex. */
    checksum: text("checksum"),
    /** What a restore needs on a volume. */
    dataBytes: bigint("data_bytes", { mode: "number" }),
    /** What the object store holds. */
    storedBytes: bigint("stored_bytes", { mode: "number" }),
    startLsn: text("start_lsn"),
    stopLsn: text("stop_lsn"),
    timeline: integer("timeline"),
    systemIdentifier: text("system_identifier"),
    /** By the database's clock: a restore to a moment needs a backup that had ended by then. */
    stoppedAt: instant("stopped_at"),
    rootEnabled: boolean("root_enabled").notNull().default(false),
    /** Until when what a guest was granted may still write. */
    grantedUntil: instant("granted_until"),
    /** When its objects are to be removed, or looked for again; null = they stay, or none is left. */
    cleanAt: instant("clean_at"),
    /** Why it failed. */
    faultMessage: text("fault_message"),
  },
  (table) => [
    index("backup_by_project").on(table.projectId, table.updatedAt, table.id).where(sql`${table.deletedAt} is null`),
    index("backup_by_instance").on(table.instanceId, table.updatedAt).where(sql`${table.deletedAt} is null`),
    index("backup_by_parent").on(table.parentId).where(sql`${table.deletedAt} is null`),
    index("backup_by_version").on(table.datastoreVersionId).where(sql`${table.deletedAt} is null`),
    index("backup_to_clean").on(table.cleanAt).where(sql`${table.cleanAt} is not null`),
  ],
);

/** Into which container backups go, by project and, if it names one, by instance (contract §2.6). */
export const backupStrategy = pgTable(
  "backup_strategy",
  {
    projectId: text("project_id").notNull(),
    /** Empty = all of the project. */
    instanceId: text("instance_id").notNull().default(""),
    container: text("container").notNull(),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.instanceId] })],
);

/** Keys of what is stored, wrapped by that of the project: of a backup from the first grant to the last object, of an instance's WAL likewise. */
export const dataKey = pgTable(
  "data_key",
  {
    /** Of the backup, or of the instance whose WAL it is. */
    id: uuid("id").primaryKey(),
    projectId: text("project_id").notNull(),
    wrapped: bytea("wrapped").notNull(),
  },
  (table) => [index("data_key_by_project").on(table.projectId, table.id)],
);

/** The WAL of an instance that is archived, for restores to a moment; it outlives the instance while there are backups of it. */
export const walArchive = pgTable(
  "wal_archive",
  {
    instanceId: uuid("instance_id")
      .primaryKey()
      .references(() => instance.id),
    projectId: text("project_id").notNull(),
    /** What the guest last said of it; null = nothing yet. */
    reach: jsonb("reach").$type<Archive>(),
    grantedUntil: instant("granted_until").notNull(),
    /** When what no backup needs is removed next. */
    pruneAt: instant("prune_at").notNull(),
  },
  (table) => [index("wal_archive_to_prune").on(table.pruneAt)],
);

/** What wraps a project's data keys; itself wrapped by a key that is derived from the root key. */
export const projectKey = pgTable("project_key", {
  projectId: text("project_id").primaryKey(),
  wrapped: bytea("wrapped").notNull(),
  /** When it was made, or replaced by another. */
  madeAt: instant("made_at").notNull(),
});
