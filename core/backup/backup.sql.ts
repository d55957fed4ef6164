import { sql } from "drizzle-orm";
import { bigint, boolean, index, integer, pgTable, primaryKey, text, uuid, type AnyPgColumn } from "drizzle-orm/pg-core";
import { datastoreVersion } from "#core/datastore/datastore.sql";
import { base, bytea, instant } from "#core/db/columns";
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
    /** Its data key, wrapped by that of the project; null before anything was written, and once nothing is left. */
    wrappedKey: bytea("wrapped_key"),
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

/** What wraps a project's data keys; itself wrapped by a key that is derived from the root key. */
export const projectKey = pgTable("project_key", {
  projectId: text("project_id").primaryKey(),
  wrapped: bytea("wrapped").notNull(),
  /** When it was made, or replaced by another. */
  madeAt: instant("made_at").notNull(),
});
