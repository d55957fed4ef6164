import { nameId } from "#core/datastore/seed";
import { bodies, everyone, type Step } from "#test/oracle/step";

const unknown = "11111111-2222-4333-8444-555555555555";
const network = "aaaaaaaa-0000-4000-8000-000000000001";
const hold = { hold: true };
const backup = (change: object) => ({ backup: { name: "b", instance: "{one}", ...change } });
const restore = (backupRef: string, change: object = {}) => ({ instance: { name: "copy", flavorRef: "1", volume: { size: 1 }, nics: [{ "net-id": network }], restorePoint: { backupRef }, ...change } });
const everybody = ["member", "reader", "admin", "other", "nobody", "expired"] as const;

/** Backups and strategies (contract §2.6, §6.3, §6.12). The reference's fake guest tells a size and a place of its own. */
export const backups: Step[] = [
  ...everyone(everybody, ["GET /backups", `GET /backups/${unknown}`, "GET /backups/x", "GET /instances/{one}/backups", `GET /instances/${unknown}/backups`, "GET /backup_strategies"]),
  ...bodies("member", "POST /backups", [
    {}, { backup: null }, { backup: [] }, { backup: {} }, { backup: { name: "b" } }, { backup: { instance: unknown } },
    backup({ instance: unknown }), backup({ instance: "x" }), backup({ instance: `http://x/instances/${unknown}` }), backup({ instance: "{foreign}" }),
    backup({ name: "" }), backup({ name: 5 }), backup({ description: "" }), backup({ description: 5 }), backup({ incremental: true }), backup({ incremental: 2 }), backup({ incremental: "1" }),
    backup({ parent_id: "x" }), backup({ parent_id: unknown }), backup({ swift_container: "" }), backup({ swift_container: "a b" }), backup({ swift_container: "a;b" }), backup({ swift_container: "$(a)" }),
    backup({ restore_from: {} }), backup({ restore_from: { remote_location: "http://x/y", local_datastore_version_id: "x", size: 1 } }),
    backup({ restore_from: { remote_location: "http://x/y", local_datastore_version_id: unknown, size: 1 } }), backup({ restore_from: { remote_location: "http://x/y", local_datastore_version_id: nameId("postgresql", "17"), size: "1" } }),
  ]),
  ["reader", "POST /backups", backup({})],
  ...everyone(["nobody", "expired"], ["DELETE /backup_strategies"]),

  // One that is being made.
  ["member", "POST /backups", backup({ name: "first", description: "of the day", incremental: 1, extra: true }), { ...hold, save: { b1: "backup.id" } }],
  ...everyone(["member", "reader", "admin", "other"], ["GET /backups", "GET /backups/{b1}", "GET /instances/{one}", "GET /instances/{one}/backups"], hold),
  ["member", "POST /backups", backup({ name: "second" }), hold],
  ...bodies("member", "POST /instances/{one}/action", [{ restart: {} }, { resize: { flavorRef: "2" } }, { resize: { volume: { size: 2 } } }], hold),
  ["member", "POST /instances", restore("{b1}"), hold],
  ["member", "GET /mgmt/quotas/{project_member}", undefined, { ...hold, unordered: true }],
  ["member", "GET /flavors/1"],

  // Made.
  ...everyone(["member", "reader", "admin", "other"], ["GET /backups/{b1}", "GET /instances/{one}", "GET /instances/{one}/backups"]),
  ["member", "POST /backups", backup({ name: "second", incremental: 1 }), { save: { b2: "backup.id" } }],
  ["member", "POST /backups", backup({ name: "third", parent_id: "{b1}", incremental: 0 }), { save: { b3: "backup.id" } }],
  ["member", "POST /backups", backup({ name: "fourth", incremental: 0 }), { save: { b4: "backup.id" } }],
  ...everyone(["member", "reader", "admin", "other"], [
    "GET /backups", "GET /backups?limit=2", "GET /backups?limit=2&marker=2", "GET /backups?limit=4", "GET /backups?marker=10", "GET /backups?instance_id={one}", `GET /backups?instance_id=${unknown}`,
    "GET /backups?datastore=postgresql", "GET /backups?datastore=nothing", "GET /backups?all_projects=true", "GET /backups?all_projects=false", "GET /backups?project_id={project_member}", "GET /backups?project_id={project_other}",
    "GET /instances/{one}/backups?limit=1",
  ]),
  ...everyone(["member"], ["GET /backups?limit=0", "GET /backups?limit=x", "GET /backups?marker=x"]),

  // Restored.
  ["other", "POST /instances", restore("{b1}")],
  ["member", "POST /instances", restore(unknown)],
  ["member", "POST /instances", restore("{b1}", { flavorRef: "nothing" })],
  ["member", "POST /instances", restore("{b1}", { volume: { size: 11 } })],
  ["member", "POST /instances", restore("{b1}", { datastore: { type: "nothing" } })],

  // Removed, children first: where they go with their parent, the reference's database stands in its own way, as it does in a reset that fails a backup.
  ...everyone(["other", "nobody", "expired"], ["DELETE /backups/{b1}"]),
  ...everyone(["member"], [`DELETE /backups/${unknown}`, "DELETE /backups/x"]),
  ["member", "DELETE /backups/{b4}"],
  ...everyone(["member", "admin"], ["GET /backups/{b4}", "DELETE /backups/{b4}"]),
  ...everyone(["member"], ["DELETE /backups/{b3}", "DELETE /backups/{b2}", "DELETE /backups/{b1}"]),
  ...everyone(["member"], ["GET /backups", "GET /backups/{b1}", "GET /backups/{b2}", "GET /backups/{b3}"]),
  ["member", "GET /mgmt/quotas/{project_member}", undefined, { unordered: true }],

  // Strategies.
  ...bodies("member", "POST /backup_strategies", [
    {}, { backup_strategy: {} }, { backup_strategy: { swift_container: "" } }, { backup_strategy: { swift_container: "a", instance_id: "x" } }, { backup_strategy: { swift_container: "a", extra: 1 } },
    { backup_strategy: { swift_container: "ours" } }, { backup_strategy: { swift_container: "its", instance_id: "{one}" } }, { backup_strategy: { swift_container: "other" } },
  ]),
  ...everyone(["member", "other", "admin"], ["GET /backup_strategies?instance_id={one}", `GET /backup_strategies?instance_id=${unknown}`, "GET /backup_strategies?project_id={project_member}"]),
  ["member", "GET /backup_strategies", undefined, { unordered: true }],
  ...everyone(["other", "reader"], ["DELETE /backup_strategies?project_id={project_member}"]),
  ...everyone(["member"], ["DELETE /backup_strategies?instance_id={one}", "DELETE /backup_strategies?instance_id={one}", "GET /backup_strategies"]),
  ["admin", "DELETE /backup_strategies?project_id={project_member}"],
  ["member", "GET /backup_strategies"],
];
