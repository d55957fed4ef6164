import { and, eq, inArray, ne, not, notInArray, or, type SQL } from "drizzle-orm";
import { transaction } from "#core/db/index";
import { emit } from "#core/db/outbox";
import { unprocessable } from "#core/error";
import { tellDone } from "#core/event/index";
import * as Flavor from "#core/flavor/index";
import { failBackups } from "#core/instance/backups";
import { change, lockRunning, look, notReady, refused, type RunningOperation } from "#core/instance/gate";
import { instance } from "#core/instance/instance.sql";
import { forgetModules } from "#core/instance/modules";
import { idOf, type Instance } from "#core/instance/row";
import { refuseFollowed } from "#core/instance/set";
import { statusOf, type Task } from "#core/instance/status";
import { begin, cancelRunning } from "#core/operation/index";
import { release } from "#core/quota/index";

/** Status BUILD of contract §3.1, rows 3 and 12, as a condition. */
const building: SQL = or(
  and(eq(instance.task, "BUILDING"), ne(instance.serverState, "ERROR")),
  and(eq(instance.serverState, "BUILD"), inArray(instance.task, ["NONE", "UPDATING", "MIGRATING"])),
) as SQL;

/**
 * Accepts a DELETE (contract §6.13): the wish is on the row, quota is given back exactly once,
 * and the work begins now or when the run that is under way has ended. Repeating it is
 * accepted; it takes up a removal that failed. 422 while the instance is in BUILD. Returns the row.
 */
export async function remove(wanted: string): Promise<Instance> {
  const id = idOf(wanted);
  return transaction(async () => {
    const running = await lockRunning(id);
    const removed = await change(id, {
      set: { desired: "absent", task: "DELETING", configurationId: null, configurationPending: false },
      when: and(eq(instance.desired, "present"), not(building), notInArray(instance.task, [...moving])),
    });
    const row = removed ?? (await look(id));
    if (removed) {
      // Judged with the row locked: no replica can begin to follow it any more.
      await refuseFollowed(id);
      await forgetModules(id);
      const flavor = await Flavor.find(row.flavorId);
      await release(row.projectId, { instances: 1, ram: flavor?.ramMb ?? 0, volumes: row.volumeGb });
    } else if (row.desired === "present") {
      await refuseFollowed(id);
      throw statusOf(row) === "BUILD" ? stillBuilding(row) : refused(row, moving.includes(row.task) ? `task status was ${row.task}` : "it was changed by another request meanwhile");
    }
    if (!running) await begin({ instanceId: id, projectId: row.projectId, kind: "destroy" });
    else if (running.kind !== "destroy") await interrupt(row, running);
    return row;
  });
}

/** The set is between two sources: whoever leaves it now could be either of them. */
const moving: readonly Task[] = ["PROMOTING", "EJECTING"];

const stillBuilding = (row: Instance) =>
  unprocessable(`Instance ${row.id} cannot be deleted while it is being built (instance status was BUILD).`, {
    reason: "instance.building",
    next: "Wait until it has been built, or stop the build with the action reset_status.",
  });

/**
 * Stops what is running at an instance and makes DELETE acceptable at once (contract §5.1). The
 * old run never goes on: it sees the wish before its next label. What was never built does not
 * become healthy by this: it shows ERROR. An instance that is being deleted stays so.
 */
export const resetStatus = (wanted: string): Promise<void> =>
  transaction(async () => {
    const { id, projectId } = await reset(wanted, { serviceStatus: "unknown" });
    await tellDone("instance_reset_status", { kind: "instance", id, projectId });
  });

/** As `resetStatus`, but what the guest last said stays (contract §5.3 `reset-task-status`). 422 before there is a server. */
export const resetTask = async (wanted: string): Promise<void> => void (await reset(wanted, {}, ne(instance.serverState, "none")));

async function reset(wanted: string, further: Partial<Pick<Instance, "serviceStatus">>, when?: SQL): Promise<Instance> {
  const id = idOf(wanted);
  return transaction(async () => {
    const running = await lockRunning(id);
    const set = { backupId: null, ...further };
    const unbuilt = inArray(instance.task, ["BUILDING", "BUILDING_ERROR"]);
    const present = and(eq(instance.desired, "present"), when);
    const row =
      (await change(id, { set: { task: "BUILDING_ERROR", ...set }, when: and(present, unbuilt) })) ??
      (await change(id, { set: { task: "NONE", ...set }, when: and(present, not(unbuilt)) })) ??
      (await look(id));
    if (when && row.desired === "present" && row.serverState === "none") throw notReady(row);
    await failBackups(id, "The instance's status was reset.");
    if (running && running.kind !== "destroy") await interrupt(row, running);
    return row;
  });
}

/** Asks a run to stop, and wakes whoever carries it, so that nobody waits for its next poll. */
async function interrupt({ id, projectId }: Instance, running: RunningOperation) {
  await cancelRunning(id);
  await emit({ topic: "operation.run", projectId, payload: { operationId: running.id, run: running.run } });
}
