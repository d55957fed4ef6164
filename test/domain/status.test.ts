import { expect, test } from "vitest";
import { operatingStatusOf, statusOf, type Observed } from "#core/instance/status";

const at = new Date("2026-01-01T00:00:00Z");
const seen = (change: Partial<Observed>): Observed => ({
  task: "NONE",
  serverState: "ACTIVE",
  serviceStatus: "healthy",
  serviceStatusAt: at,
  silenceSeconds: 0,
  readOnlySince: null,
  backupId: null,
  deletedAt: null,
  ...change,
});

test.each<[Partial<Observed>, string]>([
  [{}, "ACTIVE"],
  [{ serviceStatus: "crashed" }, "ACTIVE"],
  [{ deletedAt: at, task: "BUILDING_ERROR" }, "SHUTDOWN"],
  [{ task: "BUILDING_ERROR" }, "ERROR"],
  [{ task: "UPDATING_ERROR" }, "ERROR"],
  [{ task: "BUILDING", serverState: "none" }, "BUILD"],
  [{ task: "BUILDING", serverState: "ACTIVE" }, "BUILD"],
  [{ task: "BUILDING", serverState: "ERROR" }, "ERROR"],
  [{ task: "REBOOTING", serverState: "ERROR" }, "REBOOT"],
  [{ task: "RESIZING" }, "RESIZE"],
  [{ task: "RESTART_REQUIRED" }, "RESTART_REQUIRED"],
  [{ task: "DELETING" }, "SHUTDOWN"],
  [{ task: "DELETING", serverState: "none" }, "SHUTDOWN"],
  [{ task: "DELETING", serverState: "ERROR" }, "ERROR"],
  [{ task: "UPDATING" }, "ACTIVE"],
  [{ backupId: "b" }, "BACKUP"],
  [{ backupId: "b", task: "MIGRATING" }, "BACKUP"],
  [{ backupId: "b", serverState: "SHUTDOWN" }, "BACKUP"],
  [{ backupId: "b", task: "RESTART_REQUIRED" }, "RESTART_REQUIRED"],
  [{ backupId: "b", task: "DELETING" }, "SHUTDOWN"],
  [{ serverState: "SHUTDOWN" }, "SHUTDOWN"],
  [{ serverState: "BUILD" }, "BUILD"],
  [{ serverState: "ERROR" }, "ERROR"],
  [{ serverState: "none" }, "SHUTDOWN"],
])("%j shows status %s (contract §3.1)", (change, status) => {
  expect(statusOf(seen(change))).toBe(status);
});

test.each<[Partial<Observed>, number, string]>([
  [{}, 0, "HEALTHY"],
  [{}, 90, "HEALTHY"],
  [{}, 91, "ERROR"],
  [{ silenceSeconds: 480 }, 570, "HEALTHY"],
  [{ silenceSeconds: 480 }, 571, "ERROR"],
  [{ serviceStatus: "restart_required" }, 91, "RESTART_REQUIRED"],
  [{ serviceStatus: "running" }, 0, "ACTIVE"],
  [{ readOnlySince: at }, 0, "ACTIVE"],
  [{ readOnlySince: at, serviceStatus: "crashed" }, 0, "SHUTDOWN"],
  [{ readOnlySince: at }, 91, "ERROR"],
  [{ serviceStatus: "crashed" }, 0, "SHUTDOWN"],
  [{ serviceStatus: "failed" }, 0, "FAILED"],
  [{ serviceStatus: "unknown" }, 0, "ERROR"],
  [{ serviceStatus: "new" }, 0, "NEW"],
  [{ task: "RESTART_REQUIRED" }, 0, ""],
  [{ task: "UPDATING" }, 0, ""],
  [{ task: "BUILDING_ERROR" }, 0, ""],
  [{ serverState: "ERROR" }, 0, ""],
])("%j with a heartbeat %i s old shows operating_status '%s' (contract §3.2)", (change, age, status) => {
  expect(operatingStatusOf(seen(change), new Date(at.getTime() + age * 1000), 90)).toBe(status);
});
