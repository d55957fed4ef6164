import { boolean, index, jsonb, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { instant } from "#core/db/columns";

export const datastore = pgTable("datastore", {
  id: uuid("id").primaryKey(),
  name: text("name").notNull().unique(),
  /** Which `Engine` serves it. */
  manager: text("manager").notNull(),
  defaultVersionId: uuid("default_version_id"),
  /** Rows of versions that are gone still point here. */
  deletedAt: instant("deleted_at"),
});

export const datastoreVersion = pgTable(
  "datastore_version",
  {
    id: uuid("id").primaryKey(),
    datastoreId: uuid("datastore_id")
      .notNull()
      .references(() => datastore.id),
    /** What users type, e.g. `17`. */
    name: text("name").notNull(),
    /** The exact number, e.g. `17.10`. */
    version: text("version").notNull(),
    manager: text("manager").notNull(),
    active: boolean("active").notNull().default(true),
    image: text("image").notNull().default(""),
    imageTags: jsonb("image_tags").$type<string[]>().notNull().default([]),
    packages: jsonb("packages").$type<string[]>().notNull().default([]),
    registryExt: text("registry_ext").notNull().default(""),
    replStrategy: text("repl_strategy").notNull().default(""),
    /** Instances that are gone, and their backups, still point here. */
    deletedAt: instant("deleted_at"),
  },
  (table) => [index("datastore_version_by_datastore").on(table.datastoreId)],
);
