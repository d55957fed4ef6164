import { and, eq, isNull, sql } from "drizzle-orm";
import { configuration } from "#core/configuration/configuration.sql";
import { checkValues } from "#core/configuration/values";
import { ambient, now, user } from "#core/context";
import { inside, transaction } from "#core/db/index";
import * as Datastore from "#core/datastore/index";
import { badRequest } from "#core/error";
import { tellDone } from "#core/event/index";
import { awaitJob, enqueue, type Enqueue } from "#core/guest/client";
import { isUuid } from "#core/id";
import { look, move, notReady } from "#core/instance/gate";
import { instance } from "#core/instance/instance.sql";
import { attachedAlready, holdGroup, unknownConfiguration } from "#core/instance/overrides";
import { idOf, type Instance } from "#core/instance/row";
import { demandDone, finish, type Reach } from "#core/instance/work";
import type { Overrides } from "#core/parameter/fact";

/** Gate B of contract §3.4 as a condition. */
const free = () => and(eq(instance.desired, "present"), eq(instance.serverState, "ACTIVE"), eq(instance.task, "NONE"));

const busy = (row: Instance) =>
  badRequest(`Instance ${row.id} is not ACTIVE and idle (task was ${row.task}): its configuration group cannot be changed.`, {
    reason: "configuration.busy",
    next: row.task === "RESTART_REQUIRED" ? "Restart the instance, then repeat the request." : "Wait until the instance is ACTIVE, then repeat the request.",
  });

/** Until the guest has said what a restart is needed for, it is taken to be needed. */
const untold = { task: "RESTART_REQUIRED", configurationPending: true } as const;

const send = (row: Instance, overrides: Overrides, before: { configurationId: string | null; pending: boolean }, told?: Enqueue<"apply_configuration">["told"]) =>
  enqueue({ ...(told && { told }), instanceId: row.id, projectId: row.projectId, generation: row.generation, kind: "apply_configuration", spec: { overrides, before } });

/** Attaches a group to an instance; done when this resolves. The order of refusals is contract §3.4's. */
export async function attach(wanted: string, groupId: string, reach: Reach): Promise<void> {
  const id = idOf(wanted);
  const job = await transaction(async () => {
    const seen = await look(id);
    if (seen.serverState === "none") throw notReady(seen);
    if (seen.configurationId !== null) throw attachedAlready(id, seen.configurationId);
    const group = await holdGroup(groupId, seen.projectId);
    if (group.datastoreVersionId !== seen.datastoreVersionId) {
      throw badRequest(`Configuration group ${group.id} is for another datastore version than the instance's.`, { reason: "configuration.version" });
    }
    const when = and(free(), isNull(instance.configurationId));
    const row = await move(id, { set: { configurationId: group.id, ...untold }, when }, (found) => (found.configurationId === null ? busy(found) : attachedAlready(id, found.configurationId)));
    return send(row, group.values, { configurationId: null, pending: false }, { name: "instance_attach_configuration", traits: { configuration_id: group.id } });
  });
  await reach.doorbell.ring(id);
  await finish(job, reach);
}

/** Gives the instance the platform's own values again; done when this resolves. Nothing attached = nothing to do. */
export async function detach(wanted: string, reach: Reach): Promise<void> {
  const id = idOf(wanted);
  const job = await transaction(async () => {
    const seen = await look(id);
    if (seen.serverState === "none") throw notReady(seen);
    const before = seen.configurationId;
    if (before === null) return undefined;
    const row = await move(id, { set: { configurationId: null, ...untold }, when: and(free(), eq(instance.configurationId, before)) }, busy);
    return send(row, {}, { configurationId: before, pending: false }, { name: "instance_detach_configuration", traits: {} });
  });
  if (job === undefined) return;
  await reach.doorbell.ring(id);
  await finish(job, reach);
}

export interface Change {
  name?: string;
  description?: string;
  values: Record<string, unknown>;
}

/** Replaces all values, and name and description where given (contract §6.11); every attached instance has them when this resolves. */
export const replace = (id: string, { name, description, values }: Change, reach: Reach): Promise<void> =>
  change(id, values, () => ({}), "configuration_update", { ...(name !== undefined && { name }), ...(description !== undefined && { description }) }, reach);

/** Sets these values beside the others; every attached instance has them when this resolves. */
export const merge = (id: string, values: Record<string, unknown>, reach: Reach): Promise<void> => change(id, values, (present) => present, "configuration_edit", {}, reach);

async function change(wanted: string, given: Record<string, unknown>, base: (present: Overrides) => Overrides, event: string, rest: { name?: string; description?: string }, reach: Reach): Promise<void> {
  if (!isUuid(wanted)) throw unknownConfiguration(wanted);
  const stores = await Datastore.list();
  const sent = await transaction(async () => {
    const [group] = await inside()
      .select()
      .from(configuration)
      .where(and(eq(configuration.id, wanted.toLowerCase()), isNull(configuration.deletedAt), user().isAdmin ? undefined : eq(configuration.projectId, user().projectId)))
      // Not FOR UPDATE: a guest's report holds its instance and may look whether the group exists.
      .for("no key update");
    if (!group) throw unknownConfiguration(wanted);
    const version = stores.flatMap((store) => store.versions).find(({ id }) => id === group.datastoreVersionId);
    if (!version) throw new Error(`configuration group ${group.id} has no datastore version`);
    const values = { ...base(group.values), ...(await checkValues(version, given)) };
    await inside().update(configuration).set({ ...rest, values, updatedAt: now() }).where(eq(configuration.id, group.id));
    await tellDone(event, { kind: "configuration", id: group.id, projectId: group.projectId }, rest);
    return reachAll(group.id, values);
  });
  await Promise.all(sent.map(({ row }) => reach.doorbell.ring(row.id)));
  await awaitAll(sent, reach);
}

interface Sent {
  row: Instance;
  job: string;
}

/** A job for every instance with this group, whatever it is doing: the queue of its guest keeps the order (contract §6.11: no gate). */
async function reachAll(groupId: string, values: Overrides): Promise<Sent[]> {
  const rows = await inside()
    .select()
    .from(instance)
    .where(and(eq(instance.configurationId, groupId), eq(instance.desired, "present"), isNull(instance.deletedAt)))
    .orderBy(instance.id)
    .for("no key update");
  const sent: Sent[] = [];
  for (const row of rows) {
    sent.push({ row, job: await send(row, values, { configurationId: groupId, pending: row.configurationPending }) });
    await inside()
      .update(instance)
      .set({ configurationPending: true, task: sql`case when ${instance.task} = 'NONE' then 'RESTART_REQUIRED' else ${instance.task} end`, updatedAt: now(), version: sql`${instance.version} + 1` })
      .where(eq(instance.id, row.id));
  }
  return sent;
}

/** Waits for all that can answer now, not longer than for one; tells of the first that could not do it. */
async function awaitAll(sent: Sent[], { waitMs }: Reach): Promise<void> {
  const { clock } = ambient();
  const until = clock.now().getTime() + waitMs;
  for (const { job } of sent.filter(({ row }) => row.serverState === "ACTIVE" && row.task !== "BUILDING")) {
    demandDone(await awaitJob(job, Math.max(0, until - clock.now().getTime())));
  }
}
