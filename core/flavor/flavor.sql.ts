import { integer, pgTable, text } from "drizzle-orm/pg-core";

/** Copy of what the compute service offers, refreshed by schedule: no API read asks a cloud. */
export const flavor = pgTable("flavor", {
  id: text("id").primaryKey(),
  name: text("name").notNull(),
  ramMb: integer("ram_mb").notNull(),
  vcpus: integer("vcpus").notNull(),
  diskGb: integer("disk_gb").notNull().default(0),
  ephemeralGb: integer("ephemeral_gb").notNull().default(0),
});
