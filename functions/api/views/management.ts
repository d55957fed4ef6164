import type { Detail, Diagnostics, Hardware } from "#core/instance/index";
import { operatingWord, type ServerState, type Task } from "#core/instance/status";
import type { Call } from "#functions/api/call";
import { detailed, gigabytes } from "#functions/api/views/instance";
import { stamp } from "#core/stamp";

const descriptions: Record<Task, string> = {
  NONE: "No tasks for the instance.",
  BUILDING: "The instance is building.",
  BUILDING_ERROR: "Building the instance failed.",
  DELETING: "Deleting the instance.",
  REBOOTING: "Rebooting the instance.",
  RESIZING: "Resizing the instance.",
  UPDATING: "Updating the instance.",
  MIGRATING: "Migrating the instance.",
  UPGRADING: "Upgrading the instance.",
  UPGRADING_ERROR: "Upgrading the instance failed.",
  PROMOTING: "The instance is promoting to a replica source, or belongs to a set in which one does.",
  EJECTING: "The instance is ejecting its replica source, or is it.",
  DETACHING: "The instance is detaching from its replica source.",
  PROMOTING_ERROR: "Promoting to a replica source failed.",
  EJECTING_ERROR: "Ejecting the replica source failed.",
  UPDATING_ERROR: "Updating the access of the instance failed.",
  RESTART_REQUIRED: "The instance requires a restart.",
};

/** What the compute service said last; unknown before a server exists. */
const serverWords: Record<ServerState, string> = { none: "UNKNOWN", BUILD: "BUILD", ACTIVE: "ACTIVE", ERROR: "ERROR", SHUTDOWN: "SHUTDOWN" };

/** An instance as administrators list it (contract §2.2, "mgmt list"). */
export function managed(detail: Detail, call: Call) {
  const { instance, serverId } = detail;
  return {
    ...detailed(detail, call),
    tenant_id: instance.projectId,
    task_description: descriptions[instance.task],
    service_status: instance.deletedAt ? "DELETED" : operatingWord(instance.serviceStatus),
    deleted: instance.deletedAt !== null,
    deleted_at: instance.deletedAt && stamp(instance.deletedAt),
    server: serverId && { id: serverId, name: instance.name, status: serverWords[instance.serverState], tenant_id: instance.projectId, host: null },
  };
}

/** Figures of the guest's process, memory in kB (contract §2.12). */
export const diagnosticsView = ({ version, threads, fdSize, vmSize, vmPeak, vmRss, vmHwm }: Diagnostics) => ({ version, threads, fdSize, vmSize, vmPeak, vmRss, vmHwm });

export const hardwareView = ({ memTotal, cpus }: Hardware) => ({ mem_total: memTotal, num_cpus: cpus });

/** Who enabled root last (contract §2.12). */
export const rootHistoryView = (instanceId: string, root: { userId: string; enabledAt: Date } | undefined) => ({
  id: instanceId,
  enabled: root ? stamp(root.enabledAt) : "Never",
  user: root?.userId ?? "Nobody",
});

/** One instance as administrators see it (contract §2.2, "mgmt show"). */
export function managedDetail(detail: Detail, root: { userId: string; enabledAt: Date } | undefined, call: Call) {
  const { instance, volumeId } = detail;
  const { volumeUsedBytes: used, volumeTotalBytes: total } = instance;
  const view = managed(detail, call);
  return {
    ...view,
    server: view.server && { ...view.server, addresses: instance.address ? { private: [{ addr: instance.address, version: 4 }] } : {} },
    volume: volumeId && {
      id: volumeId,
      size: instance.volumeGb,
      ...(used !== null && { used: gigabytes(used) }),
      ...(total !== null && { total: gigabytes(total) }),
    },
    guest_status: { state_description: instance.serviceStatus },
    ...(root && { root_enabled: stamp(root.enabledAt), root_enabled_by: root.userId }),
  };
}
