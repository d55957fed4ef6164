import { sql } from "drizzle-orm";
import { boolean, index, pgTable, primaryKey, smallint, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { datastore, datastoreVersion } from "#core/datastore/datastore.sql";
import { base, bytea, instant } from "#core/db/columns";
import { instance } from "#core/instance/instance.sql";

/** Something to apply inside instances (contract §2.8). */
export const module = pgTable(
  "module",
  {
    ...base,
    deletedAt: instant("deleted_at"),
    /** Whose it is; of a shared one, who last said so. */
    projectId: text("project_id").notNull(),
    /** Of all projects: read by everybody, changed by administrators. */
    shared: boolean("shared").notNull(),
    name: text("name").notNull(),
    type: text("type").notNull(),
    description: text("description"),
    /** Null = any. */
    datastoreId: uuid("datastore_id").references(() => datastore.id),
    datastoreVersionId: uuid("datastore_version_id").references(() => datastoreVersion.id),
    autoApply: boolean("auto_apply").notNull(),
    visible: boolean("visible").notNull(),
    liveUpdate: boolean("live_update").notNull(),
    priorityApply: boolean("priority_apply").notNull(),
    applyOrder: smallint("apply_order").notNull(),
    isAdmin: boolean("is_admin").notNull(),
    /** The decoded contents, sealed for this id (`core/seal.ts`). */
    contents: bytea("contents").notNull(),
    md5: text("md5").notNull(),
  },
  (table) => [
    index("module_by_project").on(table.projectId, table.id).where(sql`${table.deletedAt} is null`),
    index("module_shared").on(table.id).where(sql`${table.shared} and ${table.deletedAt} is null`),
    uniqueIndex("module_unique")
      .on(
        table.name,
        table.type,
        sql`(case when ${table.shared} then '' else ${table.projectId} end)`,
        sql`coalesce(${table.datastoreId}::text, '')`,
        sql`coalesce(${table.datastoreVersionId}::text, '')`,
      )
      .where(sql`${table.deletedAt} is null`),
  ],
);

/** What a guest said of a module when it last applied it. A row exists once it has said something. */
export const instanceModule = pgTable(
  "instance_module",
  {
    instanceId: uuid("instance_id")
      .notNull()
      .references(() => instance.id),
    moduleId: uuid("module_id")
      .notNull()
      .references(() => module.id),
    /** Of the instance. */
    projectId: text("project_id").notNull(),
    status: text("status").$type<"OK" | "ERROR">().notNull(),
    message: text("message"),
    md5: text("md5").notNull(),
    /** As they were applied, sealed for the module's id; null if the module was changed while the guest was at it. */
    contents: bytea("contents"),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.instanceId, table.moduleId] }), index("instance_module_by_module").on(table.moduleId, table.instanceId)],
);
