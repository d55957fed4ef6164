import { integer, pgTable, primaryKey, text } from "drizzle-orm/pg-core";

/** Limits an admin set; absent means the configured default. -1 = unlimited. */
export const quota = pgTable(
  "quota",
  {
    projectId: text("project_id").notNull(),
    resource: text("resource").$type<Resource>().notNull(),
    hardLimit: integer("hard_limit").notNull(),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.resource] })],
);

/** What is in use; changed in the same transaction as the change that uses it. */
export const quotaUsage = pgTable(
  "quota_usage",
  {
    projectId: text("project_id").notNull(),
    resource: text("resource").$type<Resource>().notNull(),
    inUse: integer("in_use").notNull(),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.resource] })],
);

/** Units: instances and backups a count, ram MB, volumes GB. */
export type Resource = "instances" | "ram" | "volumes" | "backups";
