import { and, asc, eq, inArray, lt, ne, or, sql, type SQLWrapper } from "drizzle-orm";
import { ambient, newId, now } from "#core/context";
import { inside, read } from "#core/db/index";
import { given, statement } from "#core/db/statement";
import { noticeOf, tellStart } from "#core/event/index";
import type { Traits } from "#core/event/event.sql";
import { guest, guestJob } from "#core/guest/guest.sql";
import { jobs, questions, type GuestLog, type Inventory, type JobKind, type JobSpec, type Position } from "#core/guest/protocol";

/**
 * Told after a commit that a guest has a job waiting; carries no data, may be lost. Resolves once the
 * bell was rung or could not be, within about a second; never rejects: the guest asks by itself in the end.
 */
export interface Doorbell {
  ring(instanceId: string): Promise<void>;
}

export interface Enqueue<K extends JobKind> {
  instanceId: string;
  projectId: string;
  generation: number;
  kind: K;
  spec: JobSpec<K>;
  /** A fixed id makes a label that runs twice enqueue once. */
  id?: string;
  /** The guest may not fetch it earlier; jobs behind it do not wait for it. */
  notBefore?: Date;
  /** It is told of when it begins, that is now, and when it ends (contract §8.6). */
  told?: { name: string; traits: Traits };
}

/** Puts a job at the end of the guest's queue, in the open transaction. Returns the job's id. */
export async function enqueue<K extends JobKind>(job: Enqueue<K>): Promise<string> {
  const id = job.id ?? newId();
  const notice = job.told ? noticeOf(job.told.name, { kind: "instance", id: job.instanceId, projectId: job.projectId }) : null;
  const row = {
    id,
    instanceId: job.instanceId,
    projectId: job.projectId,
    generation: job.generation,
    kind: job.kind,
    spec: jobs[job.kind].parse(job.spec),
    requestId: ambient().requestId ?? null,
    createdAt: now(),
    notice,
  };
  await Promise.all([
    job.notBefore ? insertLater(inside(), { ...row, notBefore: job.notBefore }) : insertJob(inside(), row),
    notice && tellStart(notice, job.told?.traits),
  ]);
  return id;
}

const columns = ["id", "instanceId", "projectId", "generation", "kind", "spec", "requestId", "createdAt", "notice"] as const;
const insertJob = statement((tx) => tx.insert(guestJob).values(given(columns)).onConflictDoNothing({ target: guestJob.id }));
const insertLater = statement((tx) => tx.insert(guestJob).values(given([...columns, "notBefore"])).onConflictDoNothing({ target: guestJob.id }));

export type JobState = { state: "queued" | "done" | "failed"; error: string | null; result: Record<string, unknown> | null };

export async function outcome(jobId: string): Promise<JobState | undefined> {
  const [row] = await read((tx) =>
    tx
      .select({ state: guestJob.state, error: guestJob.error, result: guestJob.result })
      .from(guestJob)
      .where(eq(guestJob.id, jobId)),
  );
  return row;
}

/**
 * Waits until a job ends, at most `timeoutMs`; then answers what is known. Looks again with
 * growing pauses (20 ms to 500 ms): no process need be told that another one finished a job.
 */
export async function awaitJob(jobId: string, timeoutMs: number): Promise<JobState | undefined> {
  const { clock } = ambient();
  const until = clock.now().getTime() + timeoutMs;
  for (let pause = 20; ; pause = Math.min(pause * 1.5, 500)) {
    const seen = await outcome(jobId);
    const left = until - clock.now().getTime();
    if (!seen || seen.state !== "queued" || left <= 0) return seen;
    await clock.sleep(Math.min(pause, left));
  }
}

export type Question = (typeof questions)[number];
/** An answer older than this is of no use to anybody, s. */
const KEPT_SECONDS = 60;

/**
 * The same question, or stop, if it waits for this guest already, in the open transaction: a guest that was away
 * shall not find hundreds of them. Old answers are forgotten on the way, so that whoever asks every minute leaves
 * no more than a row or two.
 */
export async function waitingQuestion(job: { instanceId: string; generation: number; kind: Question | "stop" }): Promise<string | undefined> {
  const old = new Date(now().getTime() - KEPT_SECONDS * 1000);
  const { instanceId, generation, kind } = job;
  await inside()
    .delete(guestJob)
    .where(and(eq(guestJob.instanceId, instanceId), inArray(guestJob.kind, [...questions]), or(lt(guestJob.finishedAt, old), ne(guestJob.generation, generation))));
  const [row] = await inside()
    .select({ id: guestJob.id })
    .from(guestJob)
    .where(and(eq(guestJob.instanceId, instanceId), eq(guestJob.kind, kind), eq(guestJob.state, "queued"), eq(guestJob.generation, generation)))
    .limit(1);
  return row?.id;
}

/** The key for what is confided to the guest; undefined while none was reported. */
export async function sealingKeyOf(instanceId: string): Promise<string | undefined> {
  const [row] = await read((tx) => tx.select({ key: guest.sealingKey }).from(guest).where(eq(guest.instanceId, instanceId)));
  return row?.key ?? undefined;
}

const empty: Inventory = { databases: [], users: [] };

/** What the guest last reported. */
export async function reported(instanceId: string): Promise<Inventory> {
  const [row] = await read((tx) =>
    tx.select({ inventory: guest.inventory }).from(guest).where(eq(guest.instanceId, instanceId)),
  );
  return row?.inventory ?? empty;
}

/** What the guest last said of its logs; undefined = nothing yet. */
export async function reportedLogs(instanceId: string): Promise<GuestLog[] | undefined> {
  const [row] = await read((tx) => tx.select({ logs: guest.logs }).from(guest).where(eq(guest.instanceId, instanceId)));
  return row?.logs ?? undefined;
}

/**
 * What the guest will hold once its accepted jobs are done: the report with the queue applied.
 * Pre-checks use it, so that two requests in a row are judged as if the first had already ended.
 */
export async function expected(instanceId: string): Promise<Inventory> {
  const [inventory, queued] = await Promise.all([
    reported(instanceId),
    read((tx) =>
      tx
        .select({ kind: guestJob.kind, spec: guestJob.spec })
        .from(guestJob)
        .where(and(eq(guestJob.instanceId, instanceId), eq(guestJob.state, "queued")))
        .orderBy(asc(guestJob.seq)),
    ),
  ]);
  return queued.reduce((state, job) => fold(state, job.kind, job.spec ?? {}), inventory);
}

const unique = (names: string[]) => [...new Set(names)];

function fold(before: Inventory, kind: JobKind, raw: Record<string, unknown>): Inventory {
  const mapUser = (name: string, change: (user: Inventory["users"][number]) => Inventory["users"][number]) => ({
    ...before,
    users: before.users.map((one) => (one.name === name ? change(one) : one)),
  });
  switch (kind) {
    case "prepare":
    case "create_databases": {
      const { databases } = jobs.create_databases.parse(raw);
      const names = unique([...before.databases, ...databases].map(({ name }) => name));
      const after = { ...before, databases: names.map((name) => ({ name })) };
      return kind === "prepare" ? fold(after, "create_users", raw) : after;
    }
    case "delete_database": {
      const { name } = jobs.delete_database.parse(raw);
      return {
        ...before,
        databases: before.databases.filter((one) => one.name !== name),
        users: before.users.map((one) => ({ ...one, databases: one.databases.filter((other) => other !== name) })),
      };
    }
    case "create_users": {
      const { users } = jobs.create_users.parse(raw);
      const fresh = users.filter(({ name }) => !before.users.some((one) => one.name === name));
      return {
        ...before,
        users: [...before.users, ...fresh.map(({ name, databases }) => ({ name, host: "%", databases }))],
      };
    }
    case "delete_user": {
      const { name } = jobs.delete_user.parse(raw);
      return { ...before, users: before.users.filter((one) => one.name !== name) };
    }
    case "update_user": {
      const { name, newName } = jobs.update_user.parse(raw);
      return mapUser(name, (one) => ({ ...one, name: newName ?? one.name }));
    }
    case "grant": {
      const { name, databases } = jobs.grant.parse(raw);
      return mapUser(name, (one) => ({ ...one, databases: unique([...one.databases, ...databases]) }));
    }
    case "revoke": {
      const { name, database } = jobs.revoke.parse(raw);
      return mapUser(name, (one) => ({ ...one, databases: one.databases.filter((other) => other !== database) }));
    }
    case "restart":
    case "stop":
    case "ping":
    case "diagnostics":
    case "hwinfo":
    case "configure":
    case "apply_configuration":
    case "grow_volume":
    case "access":
    case "tls":
    case "change_passwords":
    case "apply_modules":
    case "remove_module":
    case "enable_root":
    case "disable_root":
    case "log":
    case "serve":
    case "follow":
    case "hold":
    case "promote":
    case "position":
    case "backup":
    case "cancel_backup":
      return before;
  }
}

/** Where a guest last said that its server stands in a replica set, and when. */
export interface Standing {
  at: string;
  seen: Position;
}

/** As a column of a select over instances, by their id; null = in none. */
export const standing = (instanceId: SQLWrapper) =>
  sql<Standing | null>`(select json_build_object('at', g.position_at, 'seen', g.position) from ${guest} g where g.instance_id = ${instanceId} and g.position is not null)`;
