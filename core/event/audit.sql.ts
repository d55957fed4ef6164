import { pgTable, text } from "drizzle-orm/pg-core";
import { instant } from "#core/db/columns";

/** How far what is told by schedule has come: one row a kind. */
export const audit = pgTable("event_audit", {
  kind: text("kind").$type<"exists" | "quota">().primaryKey(),
  /** End of the last period that was told whole; the next one begins here. */
  toldUntil: instant("told_until").notNull(),
  /** Within the next one: up to this, in the order of its keys; null = nothing yet. */
  after: text("after"),
});
