import { sql } from "drizzle-orm";
import { bigint, bigserial, index, integer, jsonb, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { bytea, instant } from "#core/db/columns";
import type { Notice } from "#core/event/event.sql";
import type { GuestLog, Inventory, JobKind, Position } from "#core/guest/protocol";
import { instance } from "#core/instance/instance.sql";

/** What a guest proves itself with. Only the guest endpoint reads it. */
export const guest = pgTable("guest", {
  instanceId: uuid("instance_id")
    .primaryKey()
    .references(() => instance.id),
  projectId: text("project_id").notNull(),
  generation: integer("generation").notNull(),
  /** SHA-256 of the one-time token; null once the first authenticated sync has been seen. */
  tokenHash: bytea("token_hash"),
  tokenExpiresAt: instant("token_expires_at"),
  /** Ed25519, SPKI DER. */
  publicKey: bytea("public_key"),
  /** Counts beside the present key until it is first used. */
  nextPublicKey: bytea("next_public_key"),
  /** X25519, SPKI DER in base64: what is confided to the agent is sealed for it. */
  sealingKey: text("sealing_key"),
  /** Highest request number seen; older ones are replays. */
  lastSequence: bigint("last_sequence", { mode: "number" }).notNull().default(0),
  revokedAt: instant("revoked_at"),
  agentVersion: text("agent_version"),
  protocol: integer("protocol"),
  lastSeenAt: instant("last_seen_at"),
  /** What the guest last reported to hold; API reads and pre-checks answer from it. */
  inventory: jsonb("inventory").$type<Inventory>(),
  /** What it last said of its logs; null = never. */
  logs: jsonb("logs").$type<GuestLog[]>(),
  /** When the certificate that its server presents ends; null = not told, or none. */
  certificateEndsAt: instant("certificate_ends_at"),
  /** When its owner was told that this one ends soon. */
  certificateToldAt: instant("certificate_told_at"),
  /** Where it last said to stand as a source or a replica, and when; null = it is neither. */
  position: jsonb("position").$type<Position>(),
  positionAt: instant("position_at"),
});

/** Work for one guest, done in order of acceptance (`seq`). */
export const guestJob = pgTable(
  "guest_job",
  {
    id: uuid("id").primaryKey(),
    seq: bigserial("seq", { mode: "number" }).notNull(),
    instanceId: uuid("instance_id")
      .notNull()
      .references(() => instance.id),
    projectId: text("project_id").notNull(),
    generation: integer("generation").notNull(),
    kind: text("kind").$type<JobKind>().notNull(),
    /** Emptied when the job ends: verifiers are not kept longer than needed. */
    spec: jsonb("spec").$type<Record<string, unknown>>(),
    state: text("state").$type<"queued" | "done" | "failed">().notNull().default("queued"),
    result: jsonb("result").$type<Record<string, unknown>>(),
    error: text("error"),
    /** Bytes moved by it when its guest last said so, and when they were last more than before. */
    progressBytes: bigint("progress_bytes", { mode: "number" }),
    progressAt: instant("progress_at"),
    requestId: text("request_id"),
    /** What its end is told as; null = nobody is told. */
    notice: jsonb("notice").$type<Notice>(),
    createdAt: instant("created_at").notNull(),
    /** Not fetched earlier; null = at once. */
    notBefore: instant("not_before"),
    finishedAt: instant("finished_at"),
  },
  (table) => [index("guest_job_queue").on(table.instanceId, table.seq).where(sql`${table.state} = 'queued'`)],
);
