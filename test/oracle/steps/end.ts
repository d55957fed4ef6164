import { everyone, type Step } from "#test/oracle/step";

const hold = { hold: true };
const unknown = "11111111-2222-4333-8444-555555555555";
const network = "aaaaaaaa-0000-4000-8000-000000000001";

/** Resets and removals (contract §5.1, §6.13). */
export const end: Step[] = [
  // One that is not built yet.
  ["member", "POST /instances", { instance: { name: "stuck", flavorRef: "1", volume: { size: 1 }, nics: [{ "net-id": network }] } }, { ...hold, save: { stuck: "instance.id" } }],
  ["member", "DELETE /instances/{stuck}", undefined, hold],
  ["other", "POST /instances/{stuck}/action", { reset_status: { force_delete: true } }, hold],
  ["member", "POST /instances/{stuck}/action", { reset_status: { force_delete: true } }, hold],
  ["member", "DELETE /instances/{stuck}", undefined, hold],
  ["member", "GET /mgmt/quotas/{project_member}", undefined, { ...hold, unordered: true }],
  ["member", "GET /flavors/1"],
  // One that serves.
  ...everyone(["other", "reader", "nobody", "expired"], ["DELETE /instances/{two}"]),
  ...everyone(["member"], [`DELETE /instances/${unknown}`, "DELETE /instances/nothing"]),
  ["admin", "POST /instances/{two}/action", { reset_status: {} }],
  ["member", "GET /instances/{two}"],
  ["member", "DELETE /instances/{two}", undefined, hold],
  ...everyone(["member"], ["GET /instances/{two}", "GET /instances", "GET /instances/{two}/users"], hold),
  ["admin", "GET /mgmt/instances/{two}", undefined, hold],
  ["member", "POST /instances/{two}/action", { restart: {} }, hold],
  ["member", "POST /instances/{two}/users", { users: [{ name: "late", password: "secret" }] }, hold],
  ["member", "GET /flavors/1"],
  ...everyone(["member", "admin"], ["GET /instances/{two}", "DELETE /instances/{two}", "GET /instances/{two}/users"]),
  ["admin", "GET /mgmt/instances/{two}"],
  ["admin", "GET /mgmt/instances/{two}?deleted=true"],
  ["admin", "GET /mgmt/instances?deleted=true&project_id={project_member}"],
  ["member", "GET /mgmt/quotas/{project_member}", undefined, { unordered: true }],
  // Twice; upstream gives the quota back twice (§11), so it is not compared.
  ...everyone(["other"], ["DELETE /instances/{foreign}", "DELETE /instances/{foreign}"], hold),
  ["other", "GET /instances/{foreign}", undefined, hold],
  ["other", "GET /instances"],
  // An administrator removes another project's.
  ["admin", "DELETE /instances/{twin}"],
  ["member", "GET /instances/{twin}"],
  ...everyone(["member"], ["DELETE /instances/{one}", "GET /instances", "GET /instances/detail"]),
  ["member", "GET /mgmt/quotas/{project_member}", undefined, { unordered: true }],
];
