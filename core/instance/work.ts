import { eq } from "drizzle-orm";
import { within } from "#core/context";
import { inside, read, transaction } from "#core/db/index";
import { datastoreVersion } from "#core/datastore/datastore.sql";
import { badRequest, notFound, unprocessable } from "#core/error";
import { awaitJob, enqueue, expected, reported, type Doorbell, type JobState } from "#core/guest/client";
import type { Inventory, JobKind, JobSpec } from "#core/guest/protocol";
import { toldOf } from "#core/instance/told";
import { notReady } from "#core/instance/gate";
import { instance } from "#core/instance/instance.sql";
import { rulesOf } from "#core/instance/names";
import { idOf, named, unknown, type Instance } from "#core/instance/row";
import { serviceAnswers } from "#core/instance/status";

/** How guests are reached from a request. */
export interface Reach {
  doorbell: Doorbell;
  /** How long a reply waits for the guest where the contract says that the work is done before it. */
  waitMs: number;
}

export interface Subject {
  row: Instance;
  manager: string;
}

/** Users, databases, grants and root need an engine that answers (contract §3.4). */
function answering({ row, manager }: Subject): Subject {
  if (row.serverState === "none") throw notReady(row);
  rulesOf(manager);
  if (row.desired === "absent" || !serviceAnswers(row.serviceStatus)) {
    throw unprocessable(`The database of instance ${row.id} does not answer (service status was ${row.serviceStatus}).`, {
      reason: "service.not_running",
      next: "Wait until operating_status is HEALTHY; if it says RESTART_REQUIRED, restart the instance.",
    });
  }
  return { row, manager };
}

/** What the guest last said it holds, behind the gate, without what is the platform's own. One round trip. */
export async function inventory(wanted: string): Promise<Inventory & { manager: string }> {
  const id = idOf(wanted);
  // Both are issued before either is awaited, so they travel together.
  const [[found], seen] = await read((tx) => within({ tx }, () => Promise.all([look(id), reported(id)])));
  if (!found) throw unknown(wanted);
  const { manager } = answering(found);
  return { manager, ...shown(manager, seen) };
}

function shown(manager: string, all: Inventory): Inventory {
  const { reservedDatabase, reservedUser } = rulesOf(manager);
  const databases = all.databases.filter(({ name }) => !reservedDatabase(name));
  const users = all.users.filter(({ name }) => !reservedUser(name));
  return {
    databases,
    users: users.map((one) => ({ ...one, databases: one.databases.filter((name) => !reservedDatabase(name)) })),
  };
}

/** The instance behind the gate, not locked: for checks that cost time before the transaction. */
export async function subject(wanted: string): Promise<Subject> {
  const [found] = await look(idOf(wanted));
  if (!found) throw unknown(wanted);
  return answering(found);
}

/** The instance and its engine, before any gate. */
export const look = (id: string): Promise<Subject[]> =>
  read((tx) =>
    tx
      .select({ row: instance, manager: datastoreVersion.manager })
      .from(instance)
      .innerJoin(datastoreVersion, eq(datastoreVersion.id, instance.datastoreVersionId))
      .where(named(id)),
  );

export interface Situation extends Subject {
  /** What the guest will hold when the jobs accepted before have been done. */
  expected: Inventory;
}

/**
 * Accepts a job for the guest of an instance and rings. `judge` makes the job's spec or throws; the
 * instance's row is locked meanwhile, so requests are judged one after the other, each as if those
 * before it had ended. The guest's reports take the same lock. Returns the job's id.
 */
export async function submit<K extends JobKind>(
  { row: { id }, manager }: Subject,
  kind: K,
  reach: Reach,
  judge: (situation: Situation) => JobSpec<K> | Promise<JobSpec<K>>,
): Promise<string> {
  const jobId = await transaction(async () => {
    const [row] = await inside().select().from(instance).where(named(id)).for("no key update");
    if (!row) throw unknown(id);
    if (row.replicaOf !== null) throw readOnly(row, row.replicaOf);
    const spec = await judge({ ...answering({ row, manager }), expected: shown(manager, await expected(id)) });
    return enqueue({ instanceId: id, projectId: row.projectId, generation: row.generation, kind, spec, ...toldOf(kind, spec) });
  });
  await reach.doorbell.ring(id);
  return jobId;
}

const readOnly = ({ id }: Instance, sourceId: string) =>
  unprocessable(`Instance ${id} is a replica, and read-only.`, { reason: "replica.read_only", next: `Make the change at its source, ${sourceId}; it comes here by itself.` });

/** Waits for a job's end; a job that failed, or did not end in time, is the caller's 400 (contract §4.2). */
export async function finish(jobId: string, { waitMs }: Reach): Promise<void> {
  demandDone(await awaitJob(jobId, waitMs));
}

/** Throws unless the job is done. */
export function demandDone(seen: JobState | undefined): void {
  if (seen?.state === "done") return;
  if (seen?.state === "failed") throw badRequest(seen.error ?? "The guest could not do it.", { reason: "guest.failed" });
  throw badRequest("The guest did not answer in time; the request is still queued and will be carried out.", {
    reason: "guest.timeout",
    next: "Look again in a while before you repeat the request.",
  });
}

export const unknownDatabase = (name: string) => notFound(`Database '${name}' cannot be found.`, { reason: "database.unknown" });
export const unknownUser = (name: string) => notFound(`User '${name}' cannot be found.`, { reason: "user.unknown" });
