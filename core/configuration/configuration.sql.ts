import { sql } from "drizzle-orm";
import { index, jsonb, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { datastoreVersion } from "#core/datastore/datastore.sql";
import { base, instant } from "#core/db/columns";
import type { Overrides } from "#core/parameter/fact";

/** A configuration group: values for the parameters of one datastore version, for any number of instances. */
export const configuration = pgTable(
  "configuration",
  {
    ...base,
    deletedAt: instant("deleted_at"),
    projectId: text("project_id").notNull(),
    name: text("name").notNull(),
    description: text("description"),
    datastoreVersionId: uuid("datastore_version_id")
      .notNull()
      .references(() => datastoreVersion.id),
    values: jsonb("values").$type<Overrides>().notNull(),
  },
  (table) => [index("configuration_by_project").on(table.projectId, table.id).where(sql`${table.deletedAt} is null`)],
);
