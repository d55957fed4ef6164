import { nameId } from "#core/datastore/seed";
import { everyone, type Step } from "#test/oracle/step";

const version = nameId("postgresql", "17");
const json = { "content-type": "application/json" };

/** Paths, methods, headers and bodies, whatever the resource (contract §0). */
export const protocol: Step[] = [
  ...["GET", "POST", "PUT", "DELETE", "PATCH"].map((method): Step => ["nobody", `${method} //`]),
  ...everyone(["nobody", "expired", "member"], ["GET /v1.0", "GET /v1.0/", "GET /instances", "GET /nowhere", "POST /instances", "GET /mgmt/instances", "DELETE /instances/x"]),
  ...everyone(["member", "admin"], ["GET /v1.0/{project_other}/instances", "GET /v1.0/{project_member}", "GET /v1.0/{project_member}/", "GET /v1.0/{project_admin}/limits/x"]),
  ...everyone(["member", "admin", "reader"], ["GET /", "GET /nowhere", "GET /nowhere/1", "GET /instances/", "GET /flavors/", "GET /mgmt", "GET /mgmt/nowhere"]),
  ...everyone(["member"], [
    ...["PUT /instances", "PATCH /instances", "DELETE /instances", "HEAD /instances", "OPTIONS /instances", "POST /instances/x", "POST /flavors", "PUT /flavors/1", "DELETE /limits"],
    ...["POST /datastores", "PUT /datastores/postgresql", "HEAD /datastores", "POST /limits", "PUT /backups", "PATCH /backups/x", "POST /mgmt/quotas/x", "DELETE /mgmt/quotas/x"],
  ]),
  // Suffixes are known to routes that Trove calls resources.
  ...everyone(["member"], [
    ...["GET /instances.json", "GET /backups.json", "GET /flavors.json", "GET /limits.json", "GET /clusters.json", "GET /configurations.json"],
    ...["GET /flavors/1.json", "GET /instances/x.json", "GET /instances.xml", "GET /flavors.xml"],
  ]),
  ...everyone(["member", "admin"], [
    ...["GET /datastores.json", "GET /datastores.xml", "GET /datastores/postgresql.json", "GET /datastores/postgresql.x"],
    ...["GET /datastores/postgresql/versions.json", "GET /datastores/postgresql/versions/17.json", `GET /datastores/versions/${version}.json`],
  ], { unordered: true }),
  ...everyone(["admin"], ["GET /mgmt/instances.json", "GET /mgmt/instances/x.json", "GET /mgmt/instances/x/action.json"], { unordered: true }),
  // Routes that take any method.
  ...["POST", "PUT", "DELETE", "PATCH", "HEAD"].flatMap((method) =>
    everyone(["member"], [`${method} /datastores/postgresql/versions`, `${method} /datastores/postgresql/versions/17`, `${method} /datastores/versions/${version}`], { unordered: true }),
  ),
  ["reader", "DELETE /datastores/postgresql/versions/17", undefined, { reads: true }],
  // Headers.
  ["member", "GET /flavors/1", undefined, { headers: { accept: "*/*" } }],
  ["member", "GET /flavors/1", undefined, { headers: { accept: "text/html" } }],
  ["member", "GET /flavors/1", undefined, { headers: { accept: "application/xml" } }],
  ["member", "GET /flavors/99", undefined, { headers: { accept: "application/xml" } }],
  ["member", "GET /flavors/1", undefined, { headers: { "x-openstack-request-id": "req-11111111-2222-4333-8444-555555555555" } }],
  ["member", "GET /flavors/1", undefined, { headers: { "x-roles": "admin", "x-project-id": "x" } }],
  ["member", "GET /mgmt/instances", undefined, { headers: { "x-roles": "admin", "x-is-admin-project": "True" } }],
  // Bodies.
  ["member", "POST /instances", undefined, { raw: "", headers: json }],
  ["member", "POST /instances", undefined, { raw: "{", headers: json }],
  ["member", "POST /instances", undefined, { raw: "[]", headers: json }],
  ["member", "POST /instances", undefined, { raw: "null", headers: json }],
  ["member", "POST /instances", undefined, { raw: "1", headers: json }],
  ["member", "POST /instances", undefined, { raw: '{"instance":{}}' }],
  ["member", "POST /instances", undefined, { raw: "hello", headers: { "content-type": "text/plain" } }],
  ["member", "POST /instances", undefined, { raw: '{"instance":{}}', headers: { "content-type": "application/json; charset=utf-8" } }],
  ["member", "POST /instances", undefined, { raw: '{"instance":{}}', headers: { "content-type": "application/x-www-form-urlencoded" } }],
  ["member", "POST /instances", {}],
  ["member", "POST /nowhere", {}],
];
