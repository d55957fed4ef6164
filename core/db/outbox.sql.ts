import { bigserial, index, jsonb, pgTable, text } from "drizzle-orm/pg-core";
import { sql } from "drizzle-orm";
import { instant } from "#core/db/columns";

/** Wishes committed with the change they belong to; a relay delivers them at least once. */
export const outbox = pgTable(
  "outbox",
  {
    id: bigserial("id", { mode: "bigint" }).primaryKey(),
    projectId: text("project_id").notNull(),
    topic: text("topic").notNull(),
    /** Ids only, never secrets. */
    payload: jsonb("payload").$type<Record<string, string | number>>().notNull(),
    createdAt: instant("created_at").notNull(),
    sentAt: instant("sent_at"),
  },
  (table) => [index("outbox_unsent").on(table.id).where(sql`${table.sentAt} is null`)],
);
