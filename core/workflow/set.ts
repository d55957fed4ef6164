import { and, asc, eq, inArray, isNull, sql } from "drizzle-orm";
import { now } from "#core/context";
import { inside, read, transaction } from "#core/db/index";
import { AppError } from "#core/error";
import { outcome, reported, sealingKeyOf } from "#core/guest/client";
import { followerPassword, followerVerifier } from "#core/guest/confide";
import { guestJob } from "#core/guest/guest.sql";
import { PromoteResult, ServeResult, type Follower, type Following } from "#core/guest/protocol";
import { instance } from "#core/instance/instance.sql";
import type { Task } from "#core/instance/status";
import { externalIdOf, type Context, type Instance } from "#core/workflow/context";
import { asked, ended, jobIdOf } from "#core/workflow/guest";
import { waitedSeconds } from "#core/workflow/pace";

/** A guest that was given a promotion begins it within this, or not at all, s. */
const PROMOTE_SECONDS = 120;
/** How long a guest that may be promoting is waited for before its server is powered off, s. */
const PATIENCE_SECONDS = 30;

/** An instance that a set's operation has to do with; a row outlives its instance. */
export async function rowOf(id: string): Promise<Instance> {
  const [row] = await read((tx) => tx.select().from(instance).where(eq(instance.id, id)));
  if (!row) throw new Error(`there is no instance ${id}`);
  return row;
}

/** Those of these instances that are there and wanted, in the order of their ids. */
export function presentOf(ids: string[] = []): Promise<Instance[]> {
  if (ids.length === 0) return Promise.resolve([]);
  return read((tx) => tx.select().from(instance).where(and(inArray(instance.id, ids), isNull(instance.deletedAt), eq(instance.desired, "present"))).orderBy(asc(instance.id)));
}

/** Whether an instance is the source of a replica set. */
export async function isFollowed(id: string): Promise<boolean> {
  const rows = await read((tx) =>
    tx.select({ id: instance.id }).from(instance).where(and(eq(instance.replicaOf, id), isNull(instance.deletedAt), eq(instance.desired, "present"))).limit(1),
  );
  return rows.length > 0;
}

/** Of a replica's role and slot, at whichever source. */
const nameOf = ({ id }: Pick<Instance, "id">) => `coffer_replica_${id.replaceAll("-", "")}`;

/**
 * Has the guest of a source let in exactly those that are to follow it now, and tells what it answered; undefined while it has not.
 * The list is read while the source's row is held: the last job of several has the last word, and the whole one.
 */
export async function served(c: Context, label: string, source: Instance): Promise<ServeResult | undefined> {
  const job = await asked(c, label, "serve", () => followersOf(c, source.id), source);
  return job && ended(job) ? ServeResult.parse(job.result) : undefined;
}

async function followersOf(c: Context, sourceId: string): Promise<{ followers: Follower[] }> {
  await inside().select({ id: instance.id }).from(instance).where(eq(instance.id, sourceId)).for("no key update");
  const rows = await inside()
    .select()
    .from(instance)
    .where(and(eq(instance.replicaOf, sourceId), eq(instance.desired, "present"), isNull(instance.deletedAt)))
    .orderBy(asc(instance.id));
  const followers: Follower[] = [];
  for (const { id, generation, address } of rows) {
    if (address === null) continue;
    const sealingKey = await sealingKeyOf(id);
    followers.push({
      instanceId: id,
      generation,
      name: nameOf({ id }),
      address,
      verifier: await followerVerifier(c.rootKey, { id, generation }),
      ...(sealingKey !== undefined && { sealingKey }),
    });
  }
  return { followers };
}

/** What a replica is told of its source; its password, and what the source's agent confided to it, sealed. */
export async function followingOf(c: Context, source: Instance, replica: Pick<Instance, "id" | "generation">, superuser?: string): Promise<Following> {
  const key = await sealingKeyOf(replica.id);
  if (key === undefined) throw new AppError("notImplemented", `The guest of instance ${replica.id} takes nothing in confidence.`, { reason: "replica.agent", next: "Its agent is of an older version; upgrade it." });
  if (source.address === null || source.port === null) throw new AppError("conflict", `Instance ${source.id} has no address.`, { reason: "replica.address", final: true });
  const certificate = source.sslMode === "builtin" ? undefined : (await reported(source.id)).certificate;
  return {
    sourceId: source.id,
    host: source.address,
    port: source.port,
    name: nameOf(replica),
    password: followerPassword(c.rootKey, key, source.id, replica),
    ...(superuser !== undefined && { superuser }),
    ...(certificate !== undefined && { certificate }),
  };
}

/** Has replicas follow a source, all at the same time; those that failed, with their words, once all have ended or `seconds` have passed. */
export async function followed(c: Context, label: string, source: Instance, replicas: Instance[], seconds: number): Promise<{ id: string; why: string }[] | undefined> {
  const jobs = [];
  for (const replica of replicas) jobs.push({ replica, job: await asked(c, label, "follow", () => followingOf(c, source, replica), replica) });
  const open = jobs.filter(({ job }) => job === undefined || job.state === "queued");
  if (open.length > 0 && (await waitedSeconds(c, label)) < seconds) return undefined;
  return jobs.flatMap(({ replica, job }) => {
    if (job?.state === "done") return [];
    return [{ id: replica.id, why: job?.state === "failed" ? (job.error ?? "it gave no reason") : "its guest has not answered yet; it follows as soon as it does" }];
  });
}

/** Has a replica become a source; undefined while it has not. */
export async function promoted(c: Context, label: string, replica: Instance, until?: string): Promise<true | undefined> {
  const before = () => new Date(now().getTime() + PROMOTE_SECONDS * 1000).toISOString();
  const job = await asked(c, label, "promote", () => ({ ...(until !== undefined && { until }), before: before() }), replica);
  if (!job || !ended(job)) return undefined;
  const { role, why = "It did not become a source." } = PromoteResult.parse(job.result);
  if (role !== "source") throw new AppError("conflict", why, { reason: "replica.promote", next: "Look at its lag, then try again.", final: true });
  return true;
}

/**
 * Whether a promotion that a label asked for came about. Undefined while that is not known. A guest that does not say is powered off,
 * and the time in which it may begin is waited out: from `false` on the former source can write without a second one beside it.
 */
export async function cameAbout(c: Context, label: string, asking: string, replica: Instance): Promise<boolean | undefined> {
  const id = jobIdOf(c, asking, replica);
  const job = await outcome(id);
  if (!job) return false;
  if (job.state === "done") return PromoteResult.parse(job.result).role === "source";
  // It failed on the way: what it is now nobody knows.
  if (job.state === "failed") return (await poweredOff(c, replica)) ? false : undefined;
  const waited = await waitedSeconds(c, label);
  if (waited < PATIENCE_SECONDS) return undefined;
  if (!(await poweredOff(c, replica))) return undefined;
  if (waited < PATIENCE_SECONDS + PROMOTE_SECONDS) return undefined;
  const why = "The instance did not answer, and was powered off.";
  await transaction((tx) =>
    tx.update(guestJob).set({ state: "failed", error: why, spec: null, finishedAt: now() }).where(and(eq(guestJob.id, id), eq(guestJob.state, "queued"))),
  );
  return (await outcome(id))?.state === "done" ? undefined : false;
}

/** Powers a server off; true once the cloud says that it is, or that there is none. */
export async function poweredOff(c: Context, { id }: Pick<Instance, "id">): Promise<boolean> {
  const server = await externalIdOf(id, "server");
  if (server === undefined || !(await c.compute.get(server, c.call()))) return true;
  const { state } = await c.compute.stop(server, c.call());
  if (state !== "SHUTDOWN") return false;
  await transaction((tx) => tx.update(instance).set({ serverState: "SHUTDOWN", updatedAt: now() }).where(eq(instance.id, id)));
  return true;
}

/** Makes an instance the source of those that followed another one, and of that one too if it stays in the set. */
export async function replaceSource(formerId: string, chosenId: string, { keep }: { keep: boolean }): Promise<void> {
  const changed = { updatedAt: now(), version: sql`${instance.version} + 1` };
  await transaction(async (tx) => {
    await tx.update(instance).set({ replicaOf: null, ...changed }).where(eq(instance.id, chosenId));
    await tx.update(instance).set({ replicaOf: chosenId, ...changed }).where(eq(instance.replicaOf, formerId));
    if (keep) await tx.update(instance).set({ replicaOf: chosenId, ...changed }).where(eq(instance.id, formerId));
  });
}

/** The end for the members at which no operation of their own runs, in the transaction that ends the run: those that are still in `from`. */
export async function settleMembers(ids: string[], from: Task, to: Task | "rest", why?: { faultMessage?: string | null; faultAt?: Date | null }): Promise<void> {
  if (ids.length === 0) return;
  await inside()
    .update(instance)
    .set({
      task: to === "rest" ? sql`case when ${instance.configurationPending} then 'RESTART_REQUIRED' else 'NONE' end` : to,
      ...why,
      updatedAt: now(),
      version: sql`${instance.version} + 1`,
    })
    .where(and(inArray(instance.id, ids), eq(instance.task, from)));
}
