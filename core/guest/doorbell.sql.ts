import { bigint, index, integer, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { instant } from "#core/db/columns";
import { instance } from "#core/instance/instance.sql";

/** The one connection by which a guest can be rung; it carries no data. No row = nobody to ring. */
export const guestDoorbell = pgTable(
  "guest_doorbell",
  {
    instanceId: uuid("instance_id")
      .primaryKey()
      .references(() => instance.id),
    projectId: text("project_id").notNull(),
    /** Of the guest that connected; a ring and a ping for an older one than the instance's count for nothing. */
    generation: integer("generation").notNull(),
    /** Number of the signed request that opened it: of two, the one that was asked for later stays. */
    sequence: bigint("sequence", { mode: "number" }).notNull(),
    /** The gateway's name for the connection. */
    connectionId: text("connection_id").notNull().unique(),
    connectedAt: instant("connected_at").notNull(),
    /** When the gateway has closed it for certain, unless its guest is heard before. */
    expiresAt: instant("expires_at").notNull(),
  },
  (table) => [index("guest_doorbell_expiry").on(table.expiresAt)],
);
