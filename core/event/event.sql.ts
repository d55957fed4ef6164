import { sql } from "drizzle-orm";
import { bigserial, index, integer, jsonb, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { instant } from "#core/db/columns";

export type Trait = string | number | null;
export type Traits = Record<string, Trait>;

/** What is told when work ends, kept with the work from its beginning: the end says of whom and by what way it was asked. */
export interface Notice {
  /** As in contract §8.6, without `dbaas.`. */
  name: string;
  projectId: string;
  /** Which object it is about: its events are delivered in order. */
  stream: string;
  /** `instance_id`, `configuration_id` or `backup_id`, and what else the work is of. */
  subject: Traits;
  /** client_ip, server_ip, request_id. */
  origin: Traits;
}

/** What happened, committed with the change it tells of; delivered at least once under its id, in order of `seq` within a stream. */
export const event = pgTable(
  "event",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    seq: bigserial("seq", { mode: "number" }).notNull(),
    projectId: text("project_id").notNull(),
    stream: text("stream").notNull(),
    type: text("type").notNull(),
    /** Who tells: `api` or `taskmanager`. */
    publisher: text("publisher").notNull(),
    /** Names and numbers, never secrets. */
    payload: jsonb("payload").$type<Traits>().notNull(),
    createdAt: instant("created_at").notNull(),
    /** Not tried earlier: in the hands of a drainer until then, or refused before. */
    dueAt: instant("due_at").notNull(),
    attempts: integer("attempts").notNull().default(0),
    sentAt: instant("sent_at"),
  },
  (table) => [
    index("event_due").on(table.dueAt, table.seq).where(sql`${table.sentAt} is null`),
    index("event_stream").on(table.stream, table.seq).where(sql`${table.sentAt} is null`),
    index("event_sent").on(table.sentAt).where(sql`${table.sentAt} is not null`),
  ],
);
