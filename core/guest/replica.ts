import * as z from "zod";

/* What of the guests' protocol concerns replica sets. */

/**
 * Whom a replica follows. The password of its role there, and that of the source's agent, which the copied data knows, are sealed
 * for the replica's agent alone (`core/guest/seal`, bound by `replicaBound`): the first by the control plane, the second by the source's agent.
 */
export const Following = z.object({
  sourceId: z.uuid(),
  host: z.string(),
  port: z.number().int(),
  /** Of the replica's role and slot. */
  name: z.string(),
  password: z.string(),
  superuser: z.string().exactOptional(),
  /** PEM of the certificate that the source presents, where it is a user's own; absent = one of the installation's. */
  certificate: z.string().exactOptional(),
});
export type Following = z.infer<typeof Following>;
/** What a sealed password is for, and for no other replica, server or source. */
export const replicaBound = (what: "password" | "superuser", sourceId: string, replicaId: string, generation: number) => `coffer replica ${what}\n${sourceId}\n${replicaId}\n${generation}`;
/** A replica as its source is told of it. */
export const Follower = z.object({
  instanceId: z.uuid(),
  generation: z.number().int(),
  name: z.string(),
  /** Where it listens, and connects from. */
  address: z.string(),
  verifier: z.string(),
  /** Whom the source's agent seals its password for; absent = it has it. */
  sealingKey: z.string().max(512).exactOptional(),
});
export type Follower = z.infer<typeof Follower>;
/** What `serve` answers: by replica, the password of the source's agent, sealed for it. */
export const ServeResult = z.object({ superuser: z.record(z.uuid(), z.string()) });
export type ServeResult = z.infer<typeof ServeResult>;
/** WAL locations (`16/B374D848`). Lags in bytes and seconds, as far as they are known. */
export const Position = z.object({
  role: z.enum(["source", "replica"]),
  timeline: z.number().int(),
  received: z.string().max(32),
  replayed: z.string().max(32),
  streaming: z.boolean().exactOptional(),
  lagBytes: z.number().nonnegative().max(Number.MAX_SAFE_INTEGER).exactOptional(),
  lagSeconds: z.number().nonnegative().max(Number.MAX_SAFE_INTEGER).exactOptional(),
  /** It waits for settings that its source has raised. */
  stalled: z.literal(true).exactOptional(),
});
export type Position = z.infer<typeof Position>;
/** What `promote` answers. One that surely did not become a source says why; where that is not sure, the job fails. */
export const PromoteResult = Position.extend({ why: z.string().max(2000).exactOptional() });
export type PromoteResult = z.infer<typeof PromoteResult>;
