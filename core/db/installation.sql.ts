import { boolean, pgTable, text } from "drizzle-orm/pg-core";
import { instant } from "#core/db/columns";

/** One row. The id is in every external name, so that two installations in one cloud never meet. */
export const installation = pgTable("installation", {
  only: boolean("only").primaryKey().default(true),
  id: text("id").notNull(),
  createdAt: instant("created_at").notNull(),
});
