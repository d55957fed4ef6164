import { nameId } from "#core/datastore/seed";
import type { Reply } from "#functions/api/replies";
import type { Route, RouteKey } from "#functions/api/routes";

/** A row of contract §1, said a second time: what the code's own table says is compared with it. */
export interface Row {
  no: number;
  who: Route["who"];
  status: number;
  /** Shape of the reply; absent = no bytes at all. */
  reply?: Reply | "text";
  body?: unknown;
  /** Instead of `body`: made of an instance of whoever asks. */
  bodyOf?: (instanceId: string) => unknown;
  /** Values of the path's parameters, where they are not those of the fixture. */
  at?: Record<string, string>;
  /** What `{id}` names: an instance, unless it says otherwise. */
  of?: "group" | "module" | "backup";
  /** A module of the member's is applied to the instance first, and is what `{module_id}` names. */
  apply?: boolean;
  /** Asked by the member first. */
  before?: string;
  /** What all who may ask are told here instead: status and fault. */
  instead?: [number, string];
}

const noCluster: [number, string] = [404, "itemNotFound"];
const row = (no: number, who: Route["who"], status: number, reply?: Row["reply"], more: Partial<Row> = {}): Row => ({ no, who, status, ...(reply && { reply }), ...more });
const version = nameId("postgresql", "17");
const rule = { restart_required: 0, data_type: "integer", min_size: 64, max_size: 1000 };

export const contract = {
  "GET /": row(1, "nobody", 200, "versions"),
  "GET /healthcheck": row(2, "nobody", 200, "text"),
  "GET /openapi.json": row(0, "nobody", 200, "openapi"),
  "GET /instances": row(3, "any", 200, "instances"),
  "GET /instances/detail": row(4, "any", 200, "detailedInstances"),
  "POST /instances": row(5, "any", 200, "instance", { body: { instance: { name: "n1", flavorRef: "1", volume: { size: 1 } } } }),
  "GET /instances/{id}": row(6, "owner", 200, "instance"),
  "PUT /instances/{id}": row(7, "owner", 202, undefined, { body: { instance: { name: "n2" } } }),
  "PATCH /instances/{id}": row(8, "owner", 202, undefined, { body: { instance: { name: "n3" } } }),
  "DELETE /instances/{id}": row(9, "owner", 202),
  "POST /instances/{id}/action": row(10, "owner", 202, undefined, { body: { restart: {} } }),
  "GET /instances/{id}/backups": row(11, "owner", 200, "backups"),
  "GET /instances/{id}/configuration": row(12, "owner", 200, "defaults"),
  "GET /instances/{id}/log": row(13, "owner", 200, "logs"),
  "POST /instances/{id}/log": row(14, "owner", 200, "log", { body: { name: "general", publish: 1 } }),
  "GET /instances/{id}/ssl": row(15, "owner", 200, "ssl"),
  "POST /instances/{id}/ssl": row(16, "owner", 200, "sslDone", { body: { ssl: {} } }),
  "GET /instances/{id}/modules": row(17, "owner", 200, "appliedModules"),
  "POST /instances/{id}/modules": row(18, "owner", 200, "appliedModules", { body: { modules: [] } }),
  "DELETE /instances/{id}/modules/{module_id}": row(19, "owner", 200, undefined, { apply: true }),
  "GET /clusters": row(20, "any", 200, "clusters"),
  "POST /clusters": row(21, "any", 200, undefined, { body: { cluster: { name: "c", datastore: { type: "postgresql", version: "17" }, instances: [{ flavorRef: "1" }] } }, instead: [501, "notImplemented"] }),
  "GET /clusters/{id}": row(22, "owner", 200, undefined, { instead: noCluster }),
  "POST /clusters/{id}": row(23, "owner", 202, undefined, { body: { restart: {} }, instead: noCluster }),
  "DELETE /clusters/{id}": row(24, "owner", 202, undefined, { instead: noCluster }),
  "GET /clusters/{id}/instances/{instance_id}": row(25, "owner", 200, undefined, { instead: noCluster }),
  "GET /datastores": row(26, "any", 200, "datastores"),
  "GET /datastores/{datastore}": row(27, "any", 200, "datastore"),
  "DELETE /datastores/{datastore}": row(28, "admin", 202, undefined, { at: { datastore: "empty" } }),
  "GET /datastores/{datastore}/versions": row(29, "any", 200, "datastoreVersions"),
  "GET /datastores/{datastore}/versions/{version}": row(30, "any", 200, "datastoreVersion"),
  "GET /datastores/versions/{version}": row(31, "any", 200, "datastoreVersion"),
  "GET /datastores/{datastore}/versions/{version}/flavors": row(32, "any", 200, "flavors"),
  "GET /datastores/{datastore}/versions/{version}/volume-types": row(33, "any", 200, "volumeTypes"),
  "GET /datastores/{datastore}/versions/{version}/parameters": row(34, "any", 200, "parameters"),
  "GET /datastores/{datastore}/versions/{version}/parameters/{parameter}": row(35, "any", 200, "parameter"),
  "GET /datastores/versions/{version}/parameters": row(36, "any", 200, "parameters"),
  "GET /datastores/versions/{version}/parameters/{parameter}": row(37, "any", 200, "parameter"),
  "GET /flavors": row(38, "any", 200, "flavors"),
  "GET /flavors/{id}": row(39, "any", 200, "flavor", { at: { id: "1" } }),
  "GET /limits": row(40, "any", 200, "limits"),
  "GET /backups": row(41, "any", 200, "backups"),
  "POST /backups": row(42, "any", 202, "backup", { bodyOf: (instance) => ({ backup: { name: "nightly", instance } }) }),
  "GET /backups/{id}": row(43, "owner", 200, "backup", { of: "backup" }),
  "DELETE /backups/{id}": row(44, "owner", 202, undefined, { of: "backup" }),
  "GET /backup_strategies": row(45, "any", 200, "strategies"),
  "POST /backup_strategies": row(46, "any", 202, "strategy", { body: { backup_strategy: { swift_container: "nightly" } } }),
  "DELETE /backup_strategies": row(47, "any", 202),
  "GET /configurations": row(48, "any", 200, "groups"),
  "POST /configurations": row(49, "any", 200, "group", { body: { configuration: { name: "tuned", values: { max_connections: 50 } } } }),
  "GET /configurations/{id}": row(50, "owner", 200, "group", { of: "group" }),
  "PUT /configurations/{id}": row(51, "owner", 202, undefined, { of: "group", body: { configuration: { name: "other", values: { work_mem: "8MB" } } } }),
  "PATCH /configurations/{id}": row(52, "owner", 200, undefined, { of: "group", body: { configuration: { values: { work_mem: "16MB" } } } }),
  "DELETE /configurations/{id}": row(53, "owner", 202, undefined, { of: "group" }),
  "GET /configurations/{id}/instances": row(54, "owner", 200, "groupInstances", { of: "group" }),
  "GET /modules": row(55, "any", 200, "modules"),
  "POST /modules": row(56, "any", 200, "module", { body: { module: { name: "hello", module_type: "ping", contents: "bWVzc2FnZT1oaQ==" } } }),
  "GET /modules/{id}": row(57, "owner", 200, "moduleCounted", { of: "module" }),
  "PUT /modules/{id}": row(58, "owner", 200, "module", { of: "module", body: { module: { description: "other" } } }),
  "DELETE /modules/{id}": row(59, "owner", 200, undefined, { of: "module" }),
  "GET /modules/{id}/instances": row(60, "owner", 200, "moduleInstances", { of: "module" }),
  "PUT /modules/{id}/instances": row(61, "owner", 202, undefined, { of: "module", body: { reapply: {} } }),
  "GET /instances/{id}/databases": row(62, "owner", 200, "databases"),
  "POST /instances/{id}/databases": row(63, "owner", 202, undefined, { body: { databases: [{ name: "d1" }] } }),
  // Upstream has never answered it otherwise.
  "GET /instances/{id}/databases/{database}": row(64, "owner", 501, "notImplemented"),
  "DELETE /instances/{id}/databases/{database}": row(65, "owner", 202),
  "GET /instances/{id}/users": row(66, "owner", 200, "users"),
  "POST /instances/{id}/users": row(67, "owner", 202, undefined, { body: { users: [{ name: "bob", password: "secret" }] } }),
  "PUT /instances/{id}/users": row(68, "owner", 202, undefined, { body: { users: [{ name: "alice", password: "secret" }] } }),
  "GET /instances/{id}/users/{user}": row(69, "owner", 200, "user"),
  "PUT /instances/{id}/users/{user}": row(70, "owner", 202, undefined, { body: { user: { password: "secret" } } }),
  "DELETE /instances/{id}/users/{user}": row(71, "owner", 202),
  "GET /instances/{id}/users/{user}/databases": row(72, "owner", 200, "grants"),
  "PUT /instances/{id}/users/{user}/databases": row(73, "owner", 202, undefined, { body: { databases: [{ name: "app" }] } }),
  "DELETE /instances/{id}/users/{user}/databases/{database}": row(74, "owner", 202),
  "GET /instances/{id}/root": row(75, "owner", 200, "rootEnabled"),
  "POST /instances/{id}/root": row(76, "owner", 200, "rootUser"),
  "DELETE /instances/{id}/root": row(77, "owner", 204, undefined, { before: "POST /instances/{id}/root" }),
  "GET /clusters/{id}/root": row(78, "owner", 200, undefined, { instead: noCluster }),
  "POST /clusters/{id}/root": row(79, "owner", 200, undefined, { instead: noCluster }),
  "GET /mgmt/instances": row(80, "admin!", 200, "managedInstances"),
  "GET /mgmt/instances/{id}": row(81, "admin!", 200, "managedInstance"),
  "POST /mgmt/instances/{id}/action": row(82, "admin!", 202, undefined, { body: { "reset-task-status": {} } }),
  "GET /mgmt/instances/{id}/root": row(83, "admin!", 200, "rootHistory"),
  "GET /mgmt/instances/{id}/diagnostics": row(84, "admin!", 200, "diagnostics"),
  "GET /mgmt/instances/{id}/hwinfo": row(85, "admin!", 200, "hwinfo"),
  "GET /mgmt/instances/{id}/rpc_ping": row(86, "admin!", 204),
  "POST /mgmt/instances/{id}/upgrade": row(87, "admin!", 202, undefined, { body: { upgrade: {} }, instead: [404, "itemNotFound"] }),
  "GET /mgmt/clusters": row(88, "admin!", 200, "clusters"),
  "GET /mgmt/clusters/{id}": row(89, "admin!", 200, undefined, { instead: noCluster }),
  "POST /mgmt/clusters/{id}/action": row(90, "admin!", 202, undefined, { body: { "reset-task": {} }, instead: noCluster }),
  "GET /mgmt/quotas/{project}": row(91, "any", 200, "quotas"),
  "PUT /mgmt/quotas/{project}": row(92, "admin!", 200, "quotasSet", { body: { quotas: { instances: 1000 } } }),
  "GET /mgmt/datastores/versions/{version}/parameters": row(93, "admin!", 200, "managedParameters"),
  "POST /mgmt/datastores/versions/{version}/parameters": row(94, "admin!", 200, "managedParameter", { body: { "configuration-parameter": { ...rule, name: "app.made_here" } } }),
  "GET /mgmt/datastores/versions/{version}/parameters/{parameter}": row(95, "admin!", 200, "managedParameter"),
  "PUT /mgmt/datastores/versions/{version}/parameters/{parameter}": row(96, "admin!", 200, "managedParameter", { body: { "configuration-parameter": { ...rule, name: "work_mem" } } }),
  "DELETE /mgmt/datastores/versions/{version}/parameters/{parameter}": row(97, "admin!", 204, undefined, { at: { version, parameter: "commit_delay" } }),
  "GET /mgmt/datastore-versions": row(98, "admin!", 200, "managedVersions"),
  "POST /mgmt/datastore-versions": row(99, "admin!", 202, undefined, { body: { version: { name: "17-lts", datastore_name: "postgresql", datastore_manager: "postgresql", version: "17.9", image_tags: ["postgresql", "17"], active: true } } }),
  "GET /mgmt/datastore-versions/{id}": row(100, "admin!", 200, "managedVersion", { at: { id: version } }),
  "PATCH /mgmt/datastore-versions/{id}": row(101, "admin!", 202, undefined, { at: { id: version }, body: { active: true } }),
  "DELETE /mgmt/datastore-versions/{id}": row(102, "admin!", 202, undefined, { at: { id: nameId("postgresql", "16") } }),
  "GET /instances/{id}/operations": row(0, "owner", 200, "operations"),
} satisfies Record<RouteKey, Row>;

/** Values of path parameters that every fixture has; `{id}` is its instance. */
export const fixed: Record<string, string> = { datastore: "postgresql", version, user: "alice", database: "app", project: "p1", parameter: "work_mem" };
