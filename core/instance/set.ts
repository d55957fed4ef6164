import { and, asc, eq, inArray, isNull, or, sql } from "drizzle-orm";
import type { Config } from "#core/config";
import { now } from "#core/context";
import { inside, transaction } from "#core/db/index";
import { AppError, badRequest } from "#core/error";
import { idle, look, notReady, obstacle, refused } from "#core/instance/gate";
import { instance } from "#core/instance/instance.sql";
import { idOf, mine, named, unknown, type Instance } from "#core/instance/row";
import type { Task } from "#core/instance/status";
import { begin } from "#core/operation/index";
import { operation } from "#core/operation/operation.sql";

/** A replica set: its source, and those that follow it. */
interface Set {
  source: Instance;
  replicas: Instance[];
}

const inSet = (sourceId: string) =>
  and(or(eq(instance.id, sourceId), eq(instance.replicaOf, sourceId)), eq(instance.desired, "present"), isNull(instance.deletedAt), mine());

/**
 * Locks a replica set in the open transaction, operations first, each kind in order of ids. 422 where an operation runs at
 * any of its instances: what concerns a whole set waits until nothing else does.
 */
export async function lockSet(sourceId: string, asked: Instance): Promise<Set> {
  const ids = (await inside().select({ id: instance.id }).from(instance).where(inSet(sourceId)).orderBy(asc(instance.id))).map(({ id }) => id);
  const running = await inside()
    .select({ instanceId: operation.instanceId })
    .from(operation)
    .where(and(inArray(operation.instanceId, ids), isNull(operation.outcome)))
    .orderBy(asc(operation.id))
    .for("update");
  const rows = await inside().select().from(instance).where(inSet(sourceId)).orderBy(asc(instance.id)).for("update");
  const source = rows.find(({ id }) => id === sourceId);
  if (!source || rows.some(({ id }) => !ids.includes(id))) throw refused(asked, "its replica set was changed by another request meanwhile");
  const [busy] = running;
  if (busy) throw refused(asked, `an operation runs at instance ${busy.instanceId} of its replica set`);
  return { source, replicas: rows.filter(({ id }) => id !== sourceId) };
}

/** The instance, held against what would make it another thing than a source that can be followed; throws 404. */
export async function lockSource(id: string): Promise<Instance> {
  const [row] = await inside().select().from(instance).where(named(id)).for("update");
  if (!row) throw unknown(id);
  return row;
}

/** Those that can take part: up, and with nothing else to do. One whose build failed, say, is left out. */
const able = ({ serverState, task }: Instance) => serverState === "ACTIVE" && idle.includes(task);

async function put(rows: Instance[], task: Task): Promise<void> {
  await inside()
    .update(instance)
    .set({ task, updatedAt: now(), version: sql`${instance.version} + 1` })
    .where(inArray(instance.id, rows.map(({ id }) => id)));
}

const notReplica = ({ id }: Instance) => badRequest(`Instance ${id} is not a replica.`, { reason: "replica.none" });

/** A replica, behind gate A, and the id of its source; 400 for what is none (contract §3.4). */
async function replica(wanted: string): Promise<{ row: Instance; sourceId: string }> {
  const row = await look(idOf(wanted));
  const why = obstacle(row);
  if (why) throw why;
  if (row.replicaOf === null) throw notReplica(row);
  return { row, sourceId: row.replicaOf };
}

/** A replica becomes a source of its own, and follows nobody (contract §6.7). */
export async function detach(wanted: string): Promise<void> {
  await transaction(async () => {
    const { row, sourceId } = await replica(wanted);
    const { source, replicas } = await lockSet(sourceId, row);
    const found = demandAble(replicas, row);
    await put([found], "DETACHING");
    await begin({ instanceId: found.id, projectId: found.projectId, kind: "detach_replica", input: { sourceId: source.id } });
  });
}

/** A replica and its source change places (contract §6.8); the whole set shows PROMOTE meanwhile. */
export async function promote(wanted: string): Promise<void> {
  await transaction(async () => {
    const { row, sourceId } = await replica(wanted);
    const { source, replicas } = await lockSet(sourceId, row);
    const found = demandAble(replicas, row);
    const why = obstacle(source);
    if (why) throw why;
    const others = replicas.filter((one) => one.id !== found.id && able(one));
    await put([source, found, ...others], "PROMOTING");
    await begin({ instanceId: found.id, projectId: found.projectId, kind: "promote_replica", input: { sourceId: source.id, memberIds: others.map(({ id }) => id) } });
  });
}

function demandAble(replicas: Instance[], asked: Instance): Instance {
  const found = replicas.find(({ id }) => id === asked.id);
  if (!found) throw refused(asked, "its replica set was changed by another request meanwhile");
  const why = obstacle(found);
  if (why) throw why;
  return found;
}

/**
 * The most advanced replica of a dead source takes its place (contract §6.9); 400 while the source is heard of. One that failed
 * may be asked for again.
 */
export async function eject(wanted: string, config: Config): Promise<void> {
  await transaction(async () => {
    const row = await look(idOf(wanted));
    if (row.serverState === "none") throw notReady(row);
    if (!(await isFollowed(row.id))) throw badRequest(`Instance ${row.id} has no replicas.`, { reason: "replica.no_replicas" });
    const { source, replicas } = await lockSet(row.id, row);
    const able = replicas.filter(({ serverState, task }) => serverState === "ACTIVE" && [...idle, "PROMOTING_ERROR", "EJECTING_ERROR"].includes(task));
    const silent = (now().getTime() - source.serviceStatusAt.getTime()) / 1000;
    const after = source.silenceSeconds + config.COFFER_HEARTBEAT_STALE_SECONDS;
    if (silent < after) {
      throw badRequest(`Instance ${row.id} was heard of ${Math.floor(silent)} seconds ago: it is not ejected before it has been silent for ${after}.`, {
        reason: "replica.source_alive",
        next: "Promote a replica instead.",
      });
    }
    if (able.length === 0) throw refused(row, "none of its replicas is available");
    await put([source, ...able], "EJECTING");
    await begin({ instanceId: source.id, projectId: source.projectId, kind: "eject_source", input: { sourceId: source.id, memberIds: able.map(({ id }) => id) } });
  });
}

/** Those that follow an instance, in order of their ids; one that is being deleted does not. */
export const followersOf = (id: string): Promise<Instance[]> =>
  inside()
    .select()
    .from(instance)
    .where(and(eq(instance.replicaOf, id), mine(), eq(instance.desired, "present"), isNull(instance.deletedAt)))
    .orderBy(asc(instance.id));

/** Whether an instance has replicas that are not being deleted. */
async function isFollowed(id: string): Promise<boolean> {
  return (await followersOf(id)).length > 0;
}

/** 403 for a source that is still followed (contract §3.4). */
export async function refuseFollowed(id: string): Promise<void> {
  if (!(await isFollowed(id))) return;
  throw new AppError("forbidden", `Instance ${id} has replicas: it cannot be deleted.`, { reason: "replica.has_replicas", next: "Delete or detach its replicas first." });
}
