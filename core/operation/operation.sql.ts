import { sql } from "drizzle-orm";
import { bigserial, boolean, index, integer, jsonb, pgTable, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { base, instant } from "#core/db/columns";
import type { Notice } from "#core/event/event.sql";
import { instance } from "#core/instance/instance.sql";

export type Outcome = "done" | "failed" | "cancelled";

/** What an operation was asked to do, beside the instance it works on. Never a secret. */
export interface Input {
  flavorId?: string;
  volumeGb?: number;
  /** Where a migration is to go. */
  host?: string;
  /** What a rebuild or an upgrade makes the server from, and the generation of its new guest. */
  imageId?: string;
  generation?: number;
  /** Where an upgrade that failed goes back to. */
  fromImageId?: string;
  fromVersionId?: string;
  /** Which backup is made. */
  backupId?: string;
  /** The source of a replica set when the work began, and its other members that take part. */
  sourceId?: string;
  memberIds?: string[];
  /** The replica that an ejection makes the source. */
  chosenId?: string;
  access?: { is_public?: boolean; allowed_cidrs?: string[] };
}

export const operation = pgTable(
  "operation",
  {
    ...base,
    projectId: text("project_id").notNull(),
    instanceId: uuid("instance_id")
      .notNull()
      .references(() => instance.id),
    kind: text("kind").notNull(),
    /** Raised by a retry; an execution is named `<id>-<run>`. */
    run: integer("run").notNull().default(1),
    input: jsonb("input").$type<Input>().notNull().default({}),
    label: text("label").notNull(),
    /** Failures of the present label in a row. */
    attempt: integer("attempt").notNull().default(0),
    /** The run fails when this passes; progress may move it, time alone may not. */
    deadline: instant("deadline").notNull(),
    wakeAt: instant("wake_at").notNull(),
    /** The error that sent the run into its rollback labels. */
    failure: jsonb("failure").$type<Failure>(),
    cancelRequested: boolean("cancel_requested").notNull().default(false),
    leaseOwner: text("lease_owner"),
    leaseUntil: instant("lease_until"),
    /** Fences writers whose lease ran out: every write names the generation it was claimed with. */
    leaseGeneration: integer("lease_generation").notNull().default(0),
    outcome: text("outcome").$type<Outcome>(),
    finishedAt: instant("finished_at"),
    requestId: text("request_id"),
    actor: text("actor").notNull(),
    /** What its end is told as; null = nobody is told. */
    notice: jsonb("notice").$type<Notice>(),
  },
  (table) => [
    // Operations are exclusive per instance.
    uniqueIndex("operation_running").on(table.instanceId).where(sql`${table.outcome} is null`),
    index("operation_due").on(table.wakeAt).where(sql`${table.outcome} is null`),
    index("operation_by_instance").on(table.instanceId, table.createdAt),
  ],
);

/** Why a run failed, in words for its user. */
export interface Failure {
  code: string;
  label: string;
  message: string;
  next?: string;
}

/** The timeline: one row per label and attempt; repeated waits of one attempt share a row. */
export const operationStep = pgTable(
  "operation_step",
  {
    id: bigserial("id", { mode: "bigint" }).primaryKey(),
    operationId: uuid("operation_id")
      .notNull()
      .references(() => operation.id),
    projectId: text("project_id").notNull(),
    run: integer("run").notNull(),
    label: text("label").notNull(),
    attempt: integer("attempt").notNull(),
    startedAt: instant("started_at").notNull(),
    finishedAt: instant("finished_at"),
    /** How often the label looked before it went on. */
    polls: integer("polls").notNull().default(1),
    outcome: text("outcome").$type<"go" | "wait" | "done" | "error" | "cancelled">(),
    error: text("error"),
  },
  (table) => [uniqueIndex("operation_step_once").on(table.operationId, table.run, table.label, table.attempt)],
);
