import { and, eq, sql } from "drizzle-orm";
import { createHash } from "node:crypto";
import { now } from "#core/context";
import { transaction } from "#core/db/index";
import { AppError } from "#core/error";
import { tellError } from "#core/event/index";
import { enqueue, outcome, type JobState } from "#core/guest/client";
import { guestDoorbell } from "#core/guest/doorbell.sql";
import { guest, guestJob } from "#core/guest/guest.sql";
import { PROTOCOL, type Boot, type JobKind, type JobSpec } from "#core/guest/protocol";
import { enrolmentToken } from "#core/id";
import { instance } from "#core/instance/instance.sql";
import { stableId, type Context, type Instance } from "#core/workflow/context";

/** Whose guest: its row, or as much of it as a queue needs. */
export type Addressee = Pick<Instance, "id" | "projectId" | "generation">;

/** The job that a label of this run gives to a guest, whenever it asks. */
export const jobIdOf = (c: Pick<Context, "operation" | "instance">, label: string, to: Pick<Instance, "id"> = c.instance) =>
  to.id === c.instance.id ? stableId(c.operation.id, c.operation.run, label) : stableId(c.operation.id, c.operation.run, label, to.id);

/**
 * Gives a guest one job of a label, once: called again by the same label of the same run it finds the job it enqueued, and answers
 * how that stands. Undefined = enqueued now. `spec` is made only then, in the transaction that enqueues it.
 */
export async function asked<K extends JobKind>(c: Context, label: string, kind: K, spec: () => JobSpec<K> | Promise<JobSpec<K>>, to: Addressee = c.instance): Promise<JobState | undefined> {
  const id = jobIdOf(c, label, to);
  const before = await outcome(id);
  if (before) return before;
  const { id: instanceId, projectId, generation } = to;
  await transaction(async () => enqueue({ id, instanceId, projectId, generation, kind, spec: await spec() }));
  await c.doorbell.ring(instanceId);
  return undefined;
}

/** Has a guest do one job and tells whether it is done. A job that failed ends the run with the guest's words. */
export async function finished<K extends JobKind>(c: Context, label: string, kind: K, spec: JobSpec<K>): Promise<boolean> {
  const job = await asked(c, label, kind, () => spec);
  return job !== undefined && ended(job);
}

/** Whether the job that a label of this run enqueued is done; in a `settle`, where none may be enqueued. */
export async function didFinish(c: Context, label: string): Promise<boolean> {
  return (await outcome(jobIdOf(c, label)))?.state === "done";
}

/** A job that goes on for as long as it moves something may stand still for so long. */
const STILL_MINUTES = 30;

/** The run's deadline if the job has moved something so lately that it may go on longer than that; else undefined. */
export async function extended(c: Context, jobId: string): Promise<Date | undefined> {
  const [job] = await transaction((tx) => tx.select({ at: guestJob.progressAt }).from(guestJob).where(eq(guestJob.id, jobId)));
  if (!job?.at) return undefined;
  const until = new Date(job.at.getTime() + STILL_MINUTES * 60_000);
  return until > c.operation.deadline ? until : undefined;
}

/** Nobody waits any more for the job of a label: if it has not ended, another one tells the guest to stop. In the open transaction. */
export async function giveUp<K extends JobKind>(c: Context, label: string, kind: K, spec: JobSpec<K>): Promise<void> {
  const { id: instanceId, projectId, generation } = c.instance;
  const id = jobIdOf(c, label);
  const given = await transaction((tx) =>
    tx
      .update(guestJob)
      .set({ state: "failed", error: "Nobody waits for it any more.", spec: null, finishedAt: now() })
      .where(and(eq(guestJob.id, id), eq(guestJob.state, "queued")))
      .returning({ id: guestJob.id }),
  );
  if (given.length > 0) await enqueue({ id: stableId(id, kind), instanceId, projectId, generation, kind, spec });
}

/** The job the API enqueued with the instance, its first, and whether it is done. */
export async function prepared(c: Context): Promise<{ id: string; done: boolean }> {
  const [row] = await transaction((tx) =>
    tx
      .select({ id: guestJob.id, state: guestJob.state, error: guestJob.error })
      .from(guestJob)
      .where(sql`${guestJob.instanceId} = ${c.instance.id} and ${guestJob.kind} = 'prepare'`),
  );
  if (!row) throw new AppError("instanceFault", "The instance has no prepare job.", { final: true });
  return { id: row.id, done: ended(row) };
}

/** Whether it is done; throws when it failed. */
export function ended(job: Pick<JobState, "state" | "error">): boolean {
  if (job.state !== "failed") return job.state === "done";
  throw new AppError("badRequest", job.error ?? "The guest could not do it.", {
    reason: "guest.failed",
    final: true,
    next: "Read the message; correct the request or the instance, then try again.",
  });
}

/**
 * Boot data for a server, and the row its guest is judged by. The token is derived, so a label
 * that runs twice gives a server that exists already the token it was booted with.
 */
export async function boot(c: Context, datastore: Boot["datastore"]): Promise<Boot> {
  const { id: instanceId, projectId, generation } = c.instance;
  const token = enrolmentToken(c.rootKey, instanceId, generation);
  const tokenHash = createHash("sha256").update(token).digest();
  await transaction((tx) =>
    tx
      .insert(guest)
      .values({ instanceId, projectId, generation, tokenHash, tokenExpiresAt: c.operation.deadline })
      // A guest of this generation that has synced already keeps what it has.
      .onConflictDoUpdate({
        target: guest.instanceId,
        // Numbers begin anew: the server before may have used them up, or had a clock that was ahead.
        set: { generation, tokenHash, tokenExpiresAt: c.operation.deadline, publicKey: null, nextPublicKey: null, sealingKey: null, lastSequence: 0, revokedAt: null },
        setWhere: sql`${guest.generation} < ${generation}`,
      }),
  );
  return { protocol: PROTOCOL, instanceId, generation, url: c.guestUrl, ca: c.ca, token, datastore };
}

/** From now on nothing the guest says counts, and its queue is closed; `why` is told to who waits for it. */
export async function revoke(c: Context, at: Date, why: string) {
  await transaction(async (tx) => {
    // What is told of an instance is ordered by its lock.
    await tx.select({ id: instance.id }).from(instance).where(eq(instance.id, c.instance.id)).for("no key update");
    await tx.update(guest).set({ revokedAt: at, tokenHash: null }).where(eq(guest.instanceId, c.instance.id));
    await tx.delete(guestDoorbell).where(eq(guestDoorbell.instanceId, c.instance.id));
    const closed = await tx
      .update(guestJob)
      .set({ state: "failed", error: why, spec: null, finishedAt: at })
      .where(sql`${guestJob.instanceId} = ${c.instance.id} and ${guestJob.state} = 'queued'`)
      .returning({ seq: guestJob.seq, notice: guestJob.notice });
    for (const { notice } of closed.sort((a, b) => a.seq - b.seq)) if (notice) await tellError(notice, { message: why, exception: "guest.revoked" });
  });
}
