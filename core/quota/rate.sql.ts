import { doublePrecision, pgTable, primaryKey, text } from "drizzle-orm/pg-core";
import { instant } from "#core/db/columns";

/** What is left of a project's requests per minute and method, as of a moment; below zero = a debt. No row = all of it. */
export const rateBucket = pgTable(
  "rate_bucket",
  {
    projectId: text("project_id").notNull(),
    method: text("method").notNull(),
    tokens: doublePrecision("tokens").notNull(),
    at: instant("at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.method] })],
);
