import type { QueryName } from "#functions/api/openapi/parameters";
import type { Reply } from "#functions/api/replies";

/**
 * Every route of the contract (§1), relative to `/v1.0/{project}` from number 3 on, and the
 * policy of each. What is not here does not exist.
 */
export interface Route {
  /** Number in contract §1; 0 = our own, beside Trove's. */
  no: number;
  /**
   * `nobody` needs a token; `any` token of the project in the path; `owner` of the object, or an
   * admin; `admin` (others 403); `admin!` (others 401, contract §4.5).
   */
  who: "nobody" | "any" | "owner" | "admin" | "admin!";
  /** Of success. */
  status: number;
  /** POST, PUT and PATCH need a body unless it says `optional`. */
  body?: "optional";
  /** Shape of a successful reply's body; `text` is none of JSON; absent = no bytes at all. */
  reply?: Reply | "text";
  /** Trove has it, and nothing here can be its object: it only ever refuses. */
  never?: true;
  /** What may stand in the query; anything else is not read. */
  query?: readonly QueryName[];
}

const page = ["limit", "marker"] as const;

export const routes = {
  "GET /": { no: 1, who: "nobody", status: 200, reply: "versions" },
  "GET /healthcheck": { no: 2, who: "nobody", status: 200, reply: "text" },
  "GET /openapi.json": { no: 0, who: "nobody", status: 200, reply: "openapi" },
  "GET /instances": { no: 3, who: "any", status: 200, reply: "instances", query: page },
  "GET /instances/detail": { no: 4, who: "any", status: 200, reply: "detailedInstances", query: page },
  "POST /instances": { no: 5, who: "any", status: 200, reply: "instance" },
  "GET /instances/{id}": { no: 6, who: "owner", status: 200, reply: "instance" },
  "PUT /instances/{id}": { no: 7, who: "owner", status: 202 },
  "PATCH /instances/{id}": { no: 8, who: "owner", status: 202 },
  "DELETE /instances/{id}": { no: 9, who: "owner", status: 202 },
  "POST /instances/{id}/action": { no: 10, who: "owner", status: 202 },
  "GET /instances/{id}/backups": { no: 11, who: "owner", status: 200, reply: "backups", query: page },
  "GET /instances/{id}/configuration": { no: 12, who: "owner", status: 200, reply: "defaults" },
  "GET /instances/{id}/log": { no: 13, who: "owner", status: 200, reply: "logs" },
  "POST /instances/{id}/log": { no: 14, who: "owner", status: 200, reply: "log" },
  "GET /instances/{id}/ssl": { no: 15, who: "owner", status: 200, reply: "ssl", query: ["include_certificate"] },
  "POST /instances/{id}/ssl": { no: 16, who: "owner", status: 200, reply: "sslDone" },
  "GET /instances/{id}/modules": { no: 17, who: "owner", status: 200, reply: "appliedModules", query: ["include_contents"] },
  "POST /instances/{id}/modules": { no: 18, who: "owner", status: 200, reply: "appliedModules" },
  "DELETE /instances/{id}/modules/{module_id}": { no: 19, who: "owner", status: 200 },
  "GET /clusters": { no: 20, who: "any", status: 200, reply: "clusters", query: page },
  "POST /clusters": { no: 21, who: "any", status: 200, never: true },
  "GET /clusters/{id}": { no: 22, who: "owner", status: 200, never: true },
  "POST /clusters/{id}": { no: 23, who: "owner", status: 202, never: true },
  "DELETE /clusters/{id}": { no: 24, who: "owner", status: 202, never: true },
  "GET /clusters/{id}/instances/{instance_id}": { no: 25, who: "owner", status: 200, never: true },
  "GET /datastores": { no: 26, who: "any", status: 200, reply: "datastores" },
  "GET /datastores/{datastore}": { no: 27, who: "any", status: 200, reply: "datastore" },
  "DELETE /datastores/{datastore}": { no: 28, who: "admin", status: 202 },
  "GET /datastores/{datastore}/versions": { no: 29, who: "any", status: 200, reply: "datastoreVersions" },
  "GET /datastores/{datastore}/versions/{version}": { no: 30, who: "any", status: 200, reply: "datastoreVersion" },
  "GET /datastores/versions/{version}": { no: 31, who: "any", status: 200, reply: "datastoreVersion" },
  "GET /datastores/{datastore}/versions/{version}/flavors": { no: 32, who: "any", status: 200, reply: "flavors" },
  "GET /datastores/{datastore}/versions/{version}/volume-types": { no: 33, who: "any", status: 200, reply: "volumeTypes" },
  "GET /datastores/{datastore}/versions/{version}/parameters": { no: 34, who: "any", status: 200, reply: "parameters" },
  "GET /datastores/{datastore}/versions/{version}/parameters/{parameter}": { no: 35, who: "any", status: 200, reply: "parameter" },
  "GET /datastores/versions/{version}/parameters": { no: 36, who: "any", status: 200, reply: "parameters" },
  "GET /datastores/versions/{version}/parameters/{parameter}": { no: 37, who: "any", status: 200, reply: "parameter" },
  "GET /flavors": { no: 38, who: "any", status: 200, reply: "flavors" },
  "GET /flavors/{id}": { no: 39, who: "any", status: 200, reply: "flavor" },
  "GET /limits": { no: 40, who: "any", status: 200, reply: "limits" },
  "GET /backups": { no: 41, who: "any", status: 200, reply: "backups", query: [...page, "project_id", "all_projects", "datastore", "instance_id"] },
  "POST /backups": { no: 42, who: "any", status: 202, reply: "backup" },
  "GET /backups/{id}": { no: 43, who: "owner", status: 200, reply: "backup" },
  "DELETE /backups/{id}": { no: 44, who: "owner", status: 202 },
  "GET /backup_strategies": { no: 45, who: "any", status: 200, reply: "strategies", query: ["project_id", "instance_id"] },
  "POST /backup_strategies": { no: 46, who: "any", status: 202, reply: "strategy" },
  "DELETE /backup_strategies": { no: 47, who: "any", status: 202, query: ["project_id", "instance_id"] },
  "GET /configurations": { no: 48, who: "any", status: 200, reply: "groups", query: page },
  "POST /configurations": { no: 49, who: "any", status: 200, reply: "group" },
  "GET /configurations/{id}": { no: 50, who: "owner", status: 200, reply: "group" },
  "PUT /configurations/{id}": { no: 51, who: "owner", status: 202 },
  "PATCH /configurations/{id}": { no: 52, who: "owner", status: 200 },
  "DELETE /configurations/{id}": { no: 53, who: "owner", status: 202 },
  "GET /configurations/{id}/instances": { no: 54, who: "owner", status: 200, reply: "groupInstances", query: page },
  "GET /modules": { no: 55, who: "any", status: 200, reply: "modules", query: ["datastore"] },
  "POST /modules": { no: 56, who: "any", status: 200, reply: "module" },
  "GET /modules/{id}": { no: 57, who: "owner", status: 200, reply: "moduleCounted" },
  "PUT /modules/{id}": { no: 58, who: "owner", status: 200, reply: "module" },
  "DELETE /modules/{id}": { no: 59, who: "owner", status: 200 },
  "GET /modules/{id}/instances": { no: 60, who: "owner", status: 200, reply: "moduleInstances", query: [...page, "count_only"] },
  "PUT /modules/{id}/instances": { no: 61, who: "owner", status: 202 },
  "GET /instances/{id}/databases": { no: 62, who: "owner", status: 200, reply: "databases", query: page },
  "POST /instances/{id}/databases": { no: 63, who: "owner", status: 202 },
  "GET /instances/{id}/databases/{database}": { no: 64, who: "owner", status: 501, reply: "notImplemented" },
  "DELETE /instances/{id}/databases/{database}": { no: 65, who: "owner", status: 202 },
  "GET /instances/{id}/users": { no: 66, who: "owner", status: 200, reply: "users", query: page },
  "POST /instances/{id}/users": { no: 67, who: "owner", status: 202 },
  "PUT /instances/{id}/users": { no: 68, who: "owner", status: 202 },
  "GET /instances/{id}/users/{user}": { no: 69, who: "owner", status: 200, reply: "user" },
  "PUT /instances/{id}/users/{user}": { no: 70, who: "owner", status: 202 },
  "DELETE /instances/{id}/users/{user}": { no: 71, who: "owner", status: 202 },
  "GET /instances/{id}/users/{user}/databases": { no: 72, who: "owner", status: 200, reply: "grants" },
  "PUT /instances/{id}/users/{user}/databases": { no: 73, who: "owner", status: 202 },
  "DELETE /instances/{id}/users/{user}/databases/{database}": { no: 74, who: "owner", status: 202 },
  "GET /instances/{id}/root": { no: 75, who: "owner", status: 200, reply: "rootEnabled" },
  "POST /instances/{id}/root": { no: 76, who: "owner", status: 200, body: "optional", reply: "rootUser" },
  "DELETE /instances/{id}/root": { no: 77, who: "owner", status: 204 },
  "GET /clusters/{id}/root": { no: 78, who: "owner", status: 200, never: true },
  "POST /clusters/{id}/root": { no: 79, who: "owner", status: 200, body: "optional", never: true },
  "GET /mgmt/instances": { no: 80, who: "admin!", status: 200, reply: "managedInstances", query: [...page, "deleted", "project_id"] },
  "GET /mgmt/instances/{id}": { no: 81, who: "admin!", status: 200, reply: "managedInstance", query: ["deleted"] },
  "POST /mgmt/instances/{id}/action": { no: 82, who: "admin!", status: 202 },
  "GET /mgmt/instances/{id}/root": { no: 83, who: "admin!", status: 200, reply: "rootHistory" },
  "GET /mgmt/instances/{id}/diagnostics": { no: 84, who: "admin!", status: 200, reply: "diagnostics" },
  "GET /mgmt/instances/{id}/hwinfo": { no: 85, who: "admin!", status: 200, reply: "hwinfo" },
  "GET /mgmt/instances/{id}/rpc_ping": { no: 86, who: "admin!", status: 204 },
  "POST /mgmt/instances/{id}/upgrade": { no: 87, who: "admin!", status: 202, never: true },
  "GET /mgmt/clusters": { no: 88, who: "admin!", status: 200, reply: "clusters" },
  "GET /mgmt/clusters/{id}": { no: 89, who: "admin!", status: 200, never: true },
  "POST /mgmt/clusters/{id}/action": { no: 90, who: "admin!", status: 202, never: true },
  "GET /mgmt/quotas/{project}": { no: 91, who: "any", status: 200, reply: "quotas" },
  "PUT /mgmt/quotas/{project}": { no: 92, who: "admin!", status: 200, reply: "quotasSet" },
  "GET /mgmt/datastores/versions/{version}/parameters": { no: 93, who: "admin!", status: 200, reply: "managedParameters" },
  "POST /mgmt/datastores/versions/{version}/parameters": { no: 94, who: "admin!", status: 200, reply: "managedParameter" },
  "GET /mgmt/datastores/versions/{version}/parameters/{parameter}": { no: 95, who: "admin!", status: 200, reply: "managedParameter" },
  "PUT /mgmt/datastores/versions/{version}/parameters/{parameter}": { no: 96, who: "admin!", status: 200, reply: "managedParameter" },
  "DELETE /mgmt/datastores/versions/{version}/parameters/{parameter}": { no: 97, who: "admin!", status: 204 },
  "GET /mgmt/datastore-versions": { no: 98, who: "admin!", status: 200, reply: "managedVersions" },
  "POST /mgmt/datastore-versions": { no: 99, who: "admin!", status: 202 },
  "GET /mgmt/datastore-versions/{id}": { no: 100, who: "admin!", status: 200, reply: "managedVersion" },
  "PATCH /mgmt/datastore-versions/{id}": { no: 101, who: "admin!", status: 202 },
  "DELETE /mgmt/datastore-versions/{id}": { no: 102, who: "admin!", status: 202 },
  "GET /instances/{id}/operations": { no: 0, who: "owner", status: 200, reply: "operations" },
} as const satisfies Record<string, Route>;

export type RouteKey = keyof typeof routes;

/** Routes that upstream bound to no method: whatever is sent, they show (contract §0.2, §1.5). */
export const anyMethod = [
  "GET /datastores/{datastore}/versions",
  "GET /datastores/{datastore}/versions/{version}",
  "GET /datastores/versions/{version}",
] as const satisfies RouteKey[];

/** Other spellings that old clients use (contract §1.5). */
export const aliases = {
  "PUT /instances/{id}/users/update_all": "PUT /instances/{id}/users",
  "PUT /instances/{id}/users/{user}/update": "PUT /instances/{id}/users/{user}",
  "PUT /instances/{id}/users/{user}/databases/update": "PUT /instances/{id}/users/{user}/databases",
  "DELETE /instances/{id}/root/delete": "DELETE /instances/{id}/root",
} as const satisfies Record<string, RouteKey>;
