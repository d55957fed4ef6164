import { customType, timestamp, uuid } from "drizzle-orm/pg-core";

/** Instants are always with time zone; the wire's naive UTC is made in the views. */
export const instant = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });

export const base = {
  id: uuid("id").primaryKey(),
  createdAt: instant("created_at").notNull(),
  updatedAt: instant("updated_at").notNull(),
};

export const bytea = customType<{ data: Buffer }>({ dataType: () => "bytea" });
