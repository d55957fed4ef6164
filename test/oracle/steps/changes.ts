import { imageId } from "#test/oracle/catalogue";
import { bodies, everyone, type Step } from "#test/oracle/step";

const unknown = "11111111-2222-4333-8444-555555555555";
const hold = { hold: true };

/** Actions and updates (contract §5.1, §5.2), each looked at while it is under way. */
export const changes: Step[] = [
  ...bodies("member", "POST /instances/{one}/action", [
    {}, { unknown: {} }, { restart: null }, { restart: "now" }, { restart: [] }, { resize: {} }, { resize: null }, { resize: { other: 1 } }, { resize: { volume: 5 } }, { resize: { volume: {} } },
    { resize: { volume: { size: 0 } } }, { resize: { volume: { size: 1 } } }, { resize: { volume: { size: "x" } } }, { resize: { volume: { size: 11 } } }, { resize: { flavorRef: "99" } },
    { resize: { flavorRef: "1" } }, { resize: { flavorRef: "" } }, { resize: { flavorRef: null } }, { reset_status: {} },
  ]),
  ["member", "POST /instances/{one}/action", { promote_to_replica_source: {} }],
  ["member", "POST /instances/{one}/action", { eject_replica_source: {} }],
  ...everyone(["member"], ["GET /instances/{one}/action", "PUT /instances/{one}/action"]),
  ...(["other", "reader", "nobody", "expired"] as const).map((who): Step => [who, "POST /instances/{one}/action", { restart: {} }]),
  ["member", `POST /instances/${unknown}/action`, { restart: {} }],
  ["member", "POST /instances/nothing/action", { restart: {} }],

  // Restart.
  ["member", "POST /instances/{one}/action", { restart: {} }, hold],
  ...everyone(["member", "admin"], ["GET /instances/{one}"], hold),
  ["admin", "GET /mgmt/instances/{one}", undefined, hold],
  ...bodies("member", "POST /instances/{one}/action", [{ restart: {} }, { resize: { flavorRef: "2" } }, { resize: { volume: { size: 2 } } }], hold),
  ["member", "POST /instances/{one}/users", { users: [{ name: "busy", password: "secret" }] }, hold],
  ["member", "PUT /instances/{one}", { instance: { name: "one-busy" } }, hold],
  ["member", "GET /instances/{one}"],
  ["admin", "POST /instances/{one}/action", { restart: {} }],

  // (A flavor is never changed to the end: the reference's fake Nova does not finish it.)

  // Volume.
  ["member", "POST /instances/{one}/action", { resize: { volume: { size: 2 } } }, hold],
  ["member", "GET /instances/{one}", undefined, hold],
  ["member", "GET /mgmt/quotas/{project_member}", undefined, { ...hold, unordered: true }],
  ["member", "POST /instances/{one}/action", { resize: { volume: { size: 3 } } }, hold],
  ["member", "POST /instances/{two}/action", { resize: { volume: { size: "3", type: "x" }, flavorRef: "1" } }],
  ["member", "GET /instances/{one}"],
  ["member", "GET /instances/{two}"],
  ["member", "GET /mgmt/quotas/{project_member}", undefined, { unordered: true }],
  ["member", "POST /instances/{one}/action", { resize: { volume: { size: 1 } } }],

  // Updates.
  ...bodies("member", "PUT /instances/{two}", [
    {}, { instance: null }, { instance: { unknown: 1 } }, { instance: { slave_of: "" } }, { instance: { name: "" } }, { instance: { name: 5 } }, { instance: { configuration: "x" } },
    { instance: { configuration: 5 } }, { instance: { datastore_version: "" } }, { instance: { access: { more: 1 } } }, { instance: { access: { is_public: 1 } } }, { instance: { access: { allowed_cidrs: ["x"] } } },
    { instance: { access: {}, configuration: null } }, { instance: { configuration: null, replica_of: "" } }, { instance: { replica_of: "" } }, { instance: { replica_of: null } }, { name: "flat" },
  ]),
  ...bodies("member", "PATCH /instances/{two}", [{}, { instance: { access: {} } }, { instance: { name: "" } }, { instance: { unknown: 1 } }, { instance: { slave_of: "" } }, { instance: { slave_of: null, configuration: null } }]),
  ...(["PUT", "PATCH"] as const).flatMap((method) => [
    ...bodies("member", `${method} /instances/{two}`, [{ instance: { name: `two by ${method}` } }, { instance: {} }, { instance: { configuration: null } }, { instance: { name: "with", configuration: null } }]),
    ...(["other", "reader", "nobody"] as const).map((who): Step => [who, `${method} /instances/{two}`, { instance: { name: "stolen" } }]),
    ["admin", `${method} /instances/{two}`, { instance: { name: `two by admin's ${method}` } }] as Step,
    ["member", "GET /instances/{two}"] as Step,
    ["member", `${method} /instances/${unknown}`, { instance: { name: "x1" } }] as Step,
  ]),
  // None that is accepted: the reference's fake guest never ends an upgrade.
  ["member", "PUT /instances/{two}", { instance: { datastore_version: "no such version" } }],
  ["member", "PUT /instances/{two}", { instance: { access: { is_public: false, allowed_cidrs: ["10.1.0.0/16", "10.2.0.1"] } } }],
  ["member", "GET /instances/{two}"],
  ["member", "PUT /instances/{two}", { instance: { access: { allowed_cidrs: [] } } }],
  ["member", "GET /instances/{two}"],
  ["member", "PUT /instances/{two}", { instance: { name: "two", access: { allowed_cidrs: ["0.0.0.0/0"] } } }],
  ["member", "GET /instances/detail"],

  // What administrators see, and do.
  ...everyone(["admin", "member", "reader"], ["GET /mgmt/instances", "GET /mgmt/instances/{two}", "GET /mgmt/instances/{one}", `GET /mgmt/instances/${unknown}`, "GET /mgmt/instances/nothing", "GET /mgmt/instances/{two}/root"]),
  ...(["admin", "member"] as const).flatMap((who) => [
    ...everyone([who], [`GET /mgmt/instances/${unknown}/root`, "PATCH /mgmt/quotas/x"]),
    [who, "POST /mgmt/instances/{two}/action", { unknown: {} }] as Step,
  ]),
  ...bodies("admin", "POST /mgmt/instances/{two}/action", [{}, { stop: {}, reboot: {} }, { stop: 1 }, { reboot: null }, { rebuild: {} }, { rebuild: { image_id: "x" } }, { migrate: null }, { "reset-task-status": null }, { "reset-task-status": {} }]),
  // Once stopped or rebooted the reference's fake guest never comes back, so these are asked of nobody.
  ...bodies("admin", `POST /mgmt/instances/${unknown}/action`, [{ stop: {} }, { migrate: {} }, { rebuild: { image_id: imageId } }]),
  ...everyone(["admin", "member"], [`GET /mgmt/instances/${unknown}/diagnostics`, `GET /mgmt/instances/${unknown}/hwinfo`, `GET /mgmt/instances/${unknown}/rpc_ping`]),
  ["member", "GET /instances/{two}"],
  ["admin", "POST /instances/{two}/action", { restart: {} }, hold],
  ["admin", "POST /mgmt/instances/{two}/action", { "reset-task-status": {} }, hold],
  ...everyone(["member"], ["GET /instances/{two}"]),
  ["admin", `POST /mgmt/instances/${unknown}/action`, { reboot: {} }],
];
