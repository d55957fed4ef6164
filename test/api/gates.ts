import { serviceAllowsActions, serviceAnswers, statusOf, type ServerState, type ServiceStatus, type Task } from "#core/instance/status";
import type { RouteKey } from "#functions/api/routes";
import { nobody } from "#test/api/rig";

/** The stored inputs of an instance's status. */
export interface State {
  task: Task;
  server_state: ServerState;
  service_status: ServiceStatus;
  desired: "present" | "absent";
  /** The backup that is being made. */
  backup_id: string | null;
}

const all = <T extends string>(table: Record<T, true>) => Object.keys(table) as T[];
/** Every value; one that is new does not compile without a place here. */
export const tasks = all<Task>({ NONE: true, BUILDING: true, DELETING: true, REBOOTING: true, RESIZING: true, UPDATING: true, MIGRATING: true, UPGRADING: true, PROMOTING: true, EJECTING: true, DETACHING: true, RESTART_REQUIRED: true, BUILDING_ERROR: true, UPDATING_ERROR: true, UPGRADING_ERROR: true, PROMOTING_ERROR: true, EJECTING_ERROR: true });
const servers = all<ServerState>({ none: true, BUILD: true, ACTIVE: true, ERROR: true, SHUTDOWN: true });
const services = all<ServiceStatus>({ new: true, building: true, healthy: true, running: true, shutdown: true, crashed: true, failed: true, restarting: true, restart_required: true, unknown: true });

const state = (change: Partial<State>): State => ({
  task: "NONE",
  server_state: "ACTIVE",
  service_status: "healthy",
  // A removal is the wish and the task at once (contract §6.13).
  desired: change.task === "DELETING" ? "absent" : "present",
  backup_id: null,
  ...change,
});

/** Every value of each input while the others let everything through, and those that come together in a life. */
export const states: State[] = [
  ...tasks.map((task) => state({ task })),
  ...servers.map((server_state) => state({ server_state })),
  ...services.map((service_status) => state({ service_status })),
  ...services.filter((one) => one !== "healthy").map((service_status) => state({ task: "RESTART_REQUIRED", service_status })),
  ...tasks.filter((one) => one !== "NONE").map((task) => state({ task, server_state: "none", service_status: "new" })),
  state({ task: "BUILDING", server_state: "BUILD", service_status: "new" }),
  state({ task: "BUILDING", service_status: "building" }),
  state({ task: "BUILDING", server_state: "ERROR", service_status: "new" }),
  state({ task: "BUILDING_ERROR", server_state: "ERROR", service_status: "failed" }),
  state({ task: "REBOOTING", service_status: "restarting" }),
  state({ task: "RESIZING", server_state: "SHUTDOWN", service_status: "shutdown" }),
  state({ task: "DELETING", server_state: "ERROR", service_status: "unknown" }),
  state({ backup_id: nobody }),
  state({ backup_id: nobody, task: "DELETING" }),
];

export const statusIn = ({ task, server_state: serverState, service_status: serviceStatus, backup_id: backupId }: State) =>
  statusOf({ task, serverState, serviceStatus, backupId, serviceStatusAt: new Date(), silenceSeconds: 0, readOnlySince: null, deletedAt: null });

/** Status and a part of the text; undefined where the gate is open. */
type Refusal = [status: number, says: string] | undefined;

const load = ({ server_state }: State): Refusal => (server_state === "none" ? [422, "is not ready"] : undefined);
const task = ({ task }: State): Refusal => [422, `task status was ${task.replace("_ERROR", "")})`];
const switching: Task[] = ["PROMOTING", "EJECTING"];
/** One run at a time shapes an instance here, so what begins another waits, where upstream would let both run into each other. */
const exclusive = (open: readonly Task[]) => (one: State): Refusal => load(one) ?? (one.desired === "absent" || !open.includes(one.task) ? task(one) : undefined);

/** The gates of contract §3.4, each in the order of its conditions. */
export const gates = {
  none: () => undefined,
  load,
  A: (one) =>
    load(one) ??
    (one.server_state !== "ACTIVE" ? [422, `instance status was ${statusIn(one)})`]
    : !["NONE", "RESTART_REQUIRED"].includes(one.task) ? task(one)
    : !serviceAllowsActions(one.service_status) || one.backup_id !== null ? [422, `instance status was ${statusIn(one)})`]
    : undefined),
  B: (one) => load(one) ?? (one.server_state !== "ACTIVE" || one.task !== "NONE" ? [400, `task was ${one.task}`] : undefined),
  access: exclusive(["NONE", "RESTART_REQUIRED", "UPDATING_ERROR"]),
  /** An administrator's way out of whatever is going on, but not of what goes, nor of a set that is between two sources. */
  server: exclusive(tasks.filter((one) => !["DELETING", ...switching].includes(one))),
  /** The guest of what is being deleted is not told anything any more. */
  engine: (one) => load(one) ?? (one.desired === "absent" || !serviceAnswers(one.service_status) ? [422, `service status was ${one.service_status})`] : undefined),
  /** A guest in trouble is the one to be asked; one that goes is not. */
  guest: (one) => load(one) ?? (one.desired === "absent" ? [422, "task status was DELETING)"] : undefined),
  /** Their change is not asked of a guest that goes. */
  modules: (one) => load(one) ?? (one.desired === "absent" ? [422, "it is being deleted)"] : undefined),
  delete: (one) => (statusIn(one) === "BUILD" ? [422, "instance status was BUILD"] : switching.includes(one.task) ? task(one) : undefined),
  /** Not until there was a server; what goes has nothing to reset. */
  reset: (one) => (one.desired === "absent" ? undefined : load(one)),
} satisfies Record<string, (one: State) => Refusal>;

export interface Ask {
  route: RouteKey;
  gate: keyof typeof gates;
  /** Once the gate is open. */
  then: number;
  says?: string;
  body?: unknown;
  as?: "admin";
  /** Whom `{user}` names, where it is not alice. */
  user?: string;
  /** Stored before it. */
  put?: Record<string, string | null>;
  /** Asked before the gate: this is told in every state that has a server. */
  first?: [status: number, says: string];
}

const ask = (route: RouteKey, gate: Ask["gate"], then: number, more: Partial<Ask> = {}): Ask => ({ route, gate, then, ...more });
const action = (name: string, gate: Ask["gate"], then: number, payload: unknown = {}, more: Partial<Ask> = {}): Ask => ask("POST /instances/{id}/action", gate, then, { body: { [name]: payload }, ...more });
const managed = (name: string, gate: Ask["gate"], payload: unknown = {}): Ask => ask("POST /mgmt/instances/{id}/action", gate, 202, { body: { [name]: payload }, as: "admin" });
const changed = (method: "PUT" | "PATCH", gate: Ask["gate"], then: number, payload: unknown, more: Partial<Ask> = {}): Ask => ask(`${method} /instances/{id}`, gate, then, { body: { instance: payload }, ...more });
const notReplica = { says: "is not a replica" };
const group = { configuration: "{group}" };

/** Everything that can be asked of one instance; `{group}`, `{image}` and `{module}` are things of the fixture, `{n}` is new each time. */
export const asks: Ask[] = [
  ask("GET /instances/{id}", "none", 200),
  ask("GET /instances/{id}/operations", "none", 200),
  ask("GET /mgmt/instances/{id}", "none", 200, { as: "admin" }),
  ask("GET /mgmt/instances/{id}/root", "none", 200, { as: "admin" }),
  ask("GET /instances/{id}/backups", "none", 200),
  // What nobody ever offered.
  ask("GET /instances/{id}/databases/{database}", "none", 501),
  ask("POST /mgmt/instances/{id}/upgrade", "none", 404, { as: "admin", body: { upgrade: {} } }),
  ...(["PUT", "PATCH"] as const).flatMap((method) => [
    changed(method, "load", 202, { name: "renamed" }),
    changed(method, "B", 202, group, { put: { configuration_id: null } }),
    changed(method, "load", 400, group, { put: { configuration_id: "{group}" }, first: [400, "already"] }),
    changed(method, "B", 202, { configuration: null }, { put: { configuration_id: "{group}" } }),
    changed(method, "load", 202, { configuration: null }, { put: { configuration_id: null } }),
    changed(method, "A", 400, { replica_of: "" }, notReplica),
    changed(method, "server", 202, { datastore_version: "17" }),
    changed(method, "none", 400, { datastore_version: "18" }, { says: "does not read the data" }),
  ]),
  changed("PUT", "access", 202, { access: { is_public: true } }),
  changed("PATCH", "A", 400, { slave_of: "" }, notReplica),
  action("restart", "A", 202),
  action("resize", "A", 202, { flavorRef: "2" }),
  action("resize", "A", 400, { flavorRef: "1" }, { says: "has this flavor already" }),
  action("resize", "A", 202, { volume: { size: 2 } }),
  action("resize", "load", 400, { volume: { size: 1 } }, { first: [400, "must be larger"] }),
  action("resize", "load", 413, { volume: { size: 999 } }, { first: [413, ""] }),
  action("promote_to_replica_source", "A", 400, {}, notReplica),
  action("eject_replica_source", "load", 400, {}, { says: "has no replicas" }),
  action("reset_status", "none", 202, { force_delete: true }),
  action("reset_status", "none", 202, {}, { as: "admin" }),
  ask("GET /instances/{id}/configuration", "load", 200),
  ask("GET /instances/{id}/log", "load", 200),
  ask("POST /instances/{id}/log", "load", 200, { body: { name: "general" } }),
  ask("GET /instances/{id}/ssl", "load", 200),
  ask("POST /instances/{id}/ssl", "A", 200, { body: { ssl: {} } }),
  ask("POST /instances/{id}/ssl", "A", 200, { body: { ssl: { disable: true } } }),
  ask("POST /instances/{id}/ssl", "A", 200, { body: { ssl: { rollback: true } } }),
  ask("GET /instances/{id}/modules", "load", 200),
  ask("POST /instances/{id}/modules", "modules", 200, { body: { modules: [{ id: "{module}" }] } }),
  ask("DELETE /instances/{id}/modules/{module_id}", "modules", 200),
  ask("GET /instances/{id}/databases", "engine", 200),
  ask("POST /instances/{id}/databases", "engine", 202, { body: { databases: [{ name: "{n}" }] } }),
  ask("DELETE /instances/{id}/databases/{database}", "engine", 404),
  ask("GET /instances/{id}/users", "engine", 200),
  ask("POST /instances/{id}/users", "engine", 202, { body: { users: [{ name: "{n}", password: "secret" }] } }),
  ask("PUT /instances/{id}/users", "engine", 202, { body: { users: [{ name: "alice", password: "secret" }] } }),
  ask("GET /instances/{id}/users/{user}", "engine", 200),
  ask("PUT /instances/{id}/users/{user}", "engine", 202, { body: { user: { password: "secret" } } }),
  ask("DELETE /instances/{id}/users/{user}", "engine", 404, { user: "nobody" }),
  ask("GET /instances/{id}/users/{user}/databases", "engine", 200),
  ask("PUT /instances/{id}/users/{user}/databases", "engine", 202, { body: { databases: [{ name: "app" }] } }),
  ask("DELETE /instances/{id}/users/{user}/databases/{database}", "engine", 404),
  ask("GET /instances/{id}/root", "engine", 200),
  ask("POST /instances/{id}/root", "engine", 200),
  ask("DELETE /instances/{id}/root", "engine", 204),
  ask("GET /mgmt/instances/{id}/diagnostics", "guest", 200, { as: "admin" }),
  ask("GET /mgmt/instances/{id}/hwinfo", "guest", 200, { as: "admin" }),
  ask("GET /mgmt/instances/{id}/rpc_ping", "guest", 204, { as: "admin" }),
  managed("stop", "guest"),
  managed("reboot", "server"),
  managed("rebuild", "server", { image_id: "{image}" }),
  managed("migrate", "A"),
  managed("reset-task-status", "reset"),
  ask("DELETE /instances/{id}", "delete", 202),
];
