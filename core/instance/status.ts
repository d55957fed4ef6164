/**
 * `status` and `operating_status` as pure functions of what is known (Trove contract §3).
 * Nobody stores the results.
 */
export type Task =
  | "NONE"
  | "BUILDING"
  | "DELETING"
  | "REBOOTING"
  | "RESIZING"
  | "UPDATING"
  | "MIGRATING"
  | "UPGRADING"
  | "RESTART_REQUIRED"
  | "PROMOTING"
  | "EJECTING"
  | "DETACHING"
  | "BUILDING_ERROR"
  | "UPDATING_ERROR"
  | "UPGRADING_ERROR"
  | "PROMOTING_ERROR"
  | "EJECTING_ERROR";

/** What the compute service last said; `none` before a server exists. */
export type ServerState = "none" | "BUILD" | "ACTIVE" | "ERROR" | "SHUTDOWN";

export type ServiceStatus =
  | "new"
  | "building"
  | "healthy"
  | "running"
  | "shutdown"
  | "crashed"
  | "failed"
  | "restarting"
  | "restart_required"
  | "unknown";

export interface Observed {
  task: Task;
  serverState: ServerState;
  serviceStatus: ServiceStatus;
  serviceStatusAt: Date;
  /** For how long after that the guest need not be heard. */
  silenceSeconds: number;
  /** Since when nobody may write, for want of room. */
  readOnlySince: Date | null;
  /** The backup that runs, if one does. */
  backupId: string | null;
  deletedAt: Date | null;
}

export type Status =
  | "BUILD" | "ACTIVE" | "ERROR" | "REBOOT" | "RESIZE" | "UPGRADE" | "RESTART_REQUIRED"
  | "PROMOTE" | "EJECT" | "DETACH" | "BACKUP" | "SHUTDOWN" | "UNKNOWN";

/** §3.1, first matching row wins. */
export function statusOf(seen: Observed): Status {
  if (seen.deletedAt) return "SHUTDOWN";
  switch (seen.task) {
    case "BUILDING_ERROR":
    case "UPDATING_ERROR":
    case "UPGRADING_ERROR":
    case "PROMOTING_ERROR":
    case "EJECTING_ERROR":
      return "ERROR";
    case "BUILDING":
      return seen.serverState === "ERROR" ? "ERROR" : "BUILD";
    case "REBOOTING":
      return "REBOOT";
    case "RESIZING":
      return "RESIZE";
    case "UPGRADING":
      return "UPGRADE";
    case "RESTART_REQUIRED":
      return "RESTART_REQUIRED";
    case "PROMOTING":
      return "PROMOTE";
    case "EJECTING":
      return "EJECT";
    case "DETACHING":
      return "DETACH";
    case "DELETING":
      return seen.serverState === "ACTIVE" || seen.serverState === "SHUTDOWN" || seen.serverState === "none"
        ? "SHUTDOWN"
        : "ERROR";
    case "NONE":
    case "UPDATING":
    case "MIGRATING":
      if (seen.backupId !== null) return "BACKUP";
      // A server that the compute service no longer knows counts as shut down.
      return seen.serverState === "none" ? "SHUTDOWN" : seen.serverState;
  }
}

const operating: Record<ServiceStatus, string> = {
  new: "NEW",
  building: "BUILD",
  healthy: "HEALTHY",
  running: "ACTIVE",
  shutdown: "SHUTDOWN",
  crashed: "SHUTDOWN",
  failed: "FAILED",
  restarting: "RESTARTING",
  restart_required: "RESTART_REQUIRED",
  unknown: "ERROR",
};

/** The word of §3.2 for a service status, whatever else is going on. */
export const operatingWord = (status: ServiceStatus) => operating[status];

/** §3.2. `staleSeconds` is Trove's `agent_heartbeat_expiry`, beyond the pace that the guest was given. */
export function operatingStatusOf(seen: Observed, now: Date, staleSeconds: number): string {
  if (seen.task !== "NONE" || seen.serverState !== "ACTIVE") return "";
  const age = (now.getTime() - seen.serviceStatusAt.getTime()) / 1000;
  if (age > seen.silenceSeconds + staleSeconds && seen.serviceStatus !== "restart_required") return "ERROR";
  // A server that answers and takes no writes: "running", in Trove's words, and not "healthy".
  if (seen.serviceStatus === "healthy" && seen.readOnlySince) return operating.running;
  return operating[seen.serviceStatus];
}

/** §3.4 gate A, third condition: the stored service statuses that let an action start. */
export const servicesAllowingActions: readonly ServiceStatus[] = ["running", "healthy", "shutdown", "crashed", "restart_required"];

export const serviceAllowsActions = (status: ServiceStatus) => servicesAllowingActions.includes(status);

/** §3.4: users, databases, grants and root need an engine that answers. */
export const serviceAnswers = (status: ServiceStatus) => status === "running" || status === "healthy";
