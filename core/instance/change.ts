import { and, eq, inArray, ne } from "drizzle-orm";
import type { Config } from "#core/config";
import { transaction } from "#core/db/index";
import { badRequest } from "#core/error";
import * as Flavor from "#core/flavor/index";
import { tooLarge, unknownFlavor } from "#core/instance/create";
import { actionable, lockRunning, look, move, notReady, obstacle, refused } from "#core/instance/gate";
import { instance, type Access } from "#core/instance/instance.sql";
import { idOf, type Instance } from "#core/instance/row";
import { followersOf } from "#core/instance/set";
import type { Task } from "#core/instance/status";
import { begin } from "#core/operation/index";
import { charge, defaultLimits } from "#core/quota/index";

/** Gives an instance another name; needs its server to exist, nothing else (contract §3.4). */
export async function rename(wanted: string, name: string): Promise<void> {
  await transaction(() =>
    move(idOf(wanted), { set: { name }, when: ne(instance.serverState, "none") }, (row) =>
      row.serverState === "none" ? notReady(row) : undefined,
    ),
  );
}

/** The load gate alone: the instance exists and has a server (contract §3.4). */
export async function loaded(wanted: string): Promise<Instance> {
  return transaction(async () => {
    const row = await look(idOf(wanted));
    if (row.serverState === "none") throw notReady(row);
    return row;
  });
}

/** Restarts the database, not the server (contract §5.1). */
export async function restart(wanted: string): Promise<void> {
  const id = idOf(wanted);
  await transaction(async () => {
    await lockRunning(id);
    const row = await move(id, { set: { task: "REBOOTING", serviceStatus: "restarting" }, when: actionable() }, obstacle);
    await begin({ instanceId: id, projectId: row.projectId, kind: "restart" });
  });
}

/** Gives the instance another flavor; the difference in memory is charged at once (contract §6.5). */
export async function resizeFlavor(wanted: string, flavorId: string, config: Config): Promise<void> {
  const id = idOf(wanted);
  await transaction(async () => {
    await lockRunning(id);
    const row = await move(id, { set: { task: "RESIZING" }, when: actionable() }, obstacle);
    if (row.flavorId === flavorId) throw badRequest("The instance has this flavor already.", { reason: "flavor.same" });
    const from = await Flavor.find(row.flavorId);
    const to = await Flavor.find(flavorId);
    if (!to) throw unknownFlavor(flavorId);
    await charge(row.projectId, { ram: to.ramMb - (from?.ramMb ?? 0) }, defaultLimits(config));
    await begin({ instanceId: id, projectId: row.projectId, kind: "resize_flavor", input: { flavorId } });
  });
}

/**
 * Grows the volume to `volumeGb`, and those of its replicas with it (contract §6.6): not larger 400 and too large 413 come before
 * gate A, which every one of them must pass. Each grows by itself then.
 */
export async function resizeVolume(wanted: string, volumeGb: number, config: Config): Promise<void> {
  const id = idOf(wanted);
  await transaction(async () => {
    await lockRunning(id);
    const before = await look(id);
    if (before.serverState === "none") throw notReady(before);
    if (volumeGb <= before.volumeGb) throw notLarger(before);
    if (volumeGb > config.COFFER_MAX_VOLUME_SIZE_GB) throw tooLarge(config);
    // A replica that was grown by itself is large enough already.
    const smaller = (await followersOf(id)).filter((one) => one.volumeGb < volumeGb);
    for (const one of [before, ...smaller]) {
      const when = and(actionable(), eq(instance.volumeGb, one.volumeGb));
      const row = await move(one.id, { set: { task: "RESIZING" }, when }, obstacle);
      await charge(row.projectId, { volumes: volumeGb - row.volumeGb }, defaultLimits(config));
      await begin({ instanceId: row.id, projectId: row.projectId, kind: "resize_volume", input: { volumeGb } });
    }
  });
}

const notLarger = (row: Instance) =>
  badRequest(`The new volume must be larger than ${row.volumeGb} GB.`, { reason: "volume.not_larger" });

/** A failed access update may be tried again; nothing else is under way in these. */
const open: readonly Task[] = ["NONE", "RESTART_REQUIRED", "UPDATING_ERROR"];

/**
 * Replaces who may connect (contract §5.2): an omitted `is_public` means false. Omitted CIDRs keep
 * those in force, so that nobody is locked out by not naming them (contract §11).
 */
export async function updateAccess(wanted: string, access: Access): Promise<void> {
  const id = idOf(wanted);
  await transaction(async () => {
    await lockRunning(id);
    const when = and(eq(instance.desired, "present"), ne(instance.serverState, "none"), inArray(instance.task, [...open]));
    const row = await move(id, { set: { task: "UPDATING" }, when }, (found) =>
      found.serverState === "none" ? notReady(found) : refused(found, `task status was ${found.task.replace(/_ERROR$/, "")}`),
    );
    const cidrs = access.allowed_cidrs ?? row.access.allowed_cidrs;
    const next: Access = { is_public: access.is_public ?? false, ...(cidrs && { allowed_cidrs: cidrs }) };
    await begin({ instanceId: id, projectId: row.projectId, kind: "update_access", input: { access: next } });
  });
}
