import { boolean, doublePrecision, jsonb, pgTable, primaryKey, text, uuid } from "drizzle-orm/pg-core";
import { datastoreVersion } from "#core/datastore/datastore.sql";
import { instant } from "#core/db/columns";
import type { ParameterType } from "#core/parameter/fact";

/** What configuration groups of a datastore version may set. */
export const datastoreParameter = pgTable(
  "datastore_parameter",
  {
    datastoreVersionId: uuid("datastore_version_id")
      .notNull()
      .references(() => datastoreVersion.id),
    /** In lower case. */
    name: text("name").notNull(),
    type: text("type").$type<ParameterType>().notNull(),
    /** Inclusive, in `unit`. */
    min: doublePrecision("min"),
    max: doublePrecision("max"),
    unit: text("unit"),
    /** The words it takes; null = any. */
    values: jsonb("values").$type<readonly string[]>(),
    restartRequired: boolean("restart_required").notNull(),
    /** Who said so last: the server's own facts, or an administrator, whose word a new start does not overrule. */
    origin: text("origin").$type<"server" | "admin">().notNull(),
    deletedAt: instant("deleted_at"),
  },
  (table) => [primaryKey({ columns: [table.datastoreVersionId, table.name] })],
);
