import { and, eq, inArray, ne, notInArray } from "drizzle-orm";
import { inside, transaction } from "#core/db/index";
import { demandImage, type Images } from "#core/datastore/image";
import { actionable, lockRunning, move, notReady, obstacle, refused } from "#core/instance/gate";
import { instance } from "#core/instance/instance.sql";
import { get, idOf, type Instance } from "#core/instance/row";
import type { Task } from "#core/instance/status";
import { begin } from "#core/operation/index";
import { operation } from "#core/operation/operation.sql";

/*
 * What administrators do to servers: contract §5.3. Upstream asks nothing but that there is a server; operations
 * are exclusive here, so one that runs is waited for (422), and what was never built has nothing to boot (422).
 */

/** Reboots the server of an instance, dead guest or not. */
export const reboot = (wanted: string): Promise<void> =>
  transaction(async () => {
    const row = await takeServer(wanted, { task: "REBOOTING", serviceStatus: "restarting" });
    await begin({ instanceId: row.id, projectId: row.projectId, kind: "reboot" });
  });

/**
 * Makes the server of an instance anew from an image, on the data it has (contract §5.3). 400 for an image that
 * nobody has, or that carries another engine. The guest will be a new one, of the next generation.
 */
export async function rebuild(wanted: string, imageId: string, images: Images): Promise<void> {
  const { version } = await get(wanted);
  await demandImage(images, { id: imageId }, version);
  await transaction(async () => {
    const row = await takeServer(wanted, { task: "BUILDING", serviceStatus: "building" });
    await begin({ instanceId: row.id, projectId: row.projectId, kind: "rebuild", input: { imageId, generation: row.generation + 1 } });
  });
}

/** Moves the server to another host, to this one if it is named; behind gate A (contract §3.4). The instance shows ACTIVE meanwhile. */
export const migrate = (wanted: string, host: string | undefined): Promise<void> =>
  transaction(async () => {
    const id = idOf(wanted);
    await lockRunning(id);
    const row = await move(id, { set: { task: "MIGRATING" }, when: actionable() }, obstacle);
    await begin({ instanceId: id, projectId: row.projectId, kind: "migrate", input: host === undefined ? {} : { host } });
  });

/** Members of a set of which an operation runs at another one. */
const switching: readonly Task[] = ["PROMOTING", "EJECTING"];

/** Puts an instance that has a server, and was built once, into a task; in the open transaction. 422 otherwise. */
export async function takeServer(wanted: string, set: Partial<Pick<Instance, "task" | "serviceStatus" | "datastoreVersionId">>): Promise<Instance> {
  const id = idOf(wanted);
  await lockRunning(id);
  const when = and(eq(instance.desired, "present"), ne(instance.serverState, "none"), notInArray(instance.task, [...switching]));
  const row = await move(id, { set, when }, (found) => (found.serverState === "none" ? notReady(found) : refused(found, `task status was ${found.task}`)));
  const built = await inside()
    .select({ id: operation.id })
    .from(operation)
    .where(and(eq(operation.instanceId, id), inArray(operation.kind, ["create", "create_replica"]), eq(operation.outcome, "done")))
    .limit(1);
  if (built.length === 0) throw refused(row, "task status was BUILDING");
  return row;
}
