import { bodies, everyone, type Step } from "#test/oracle/step";

const unknown = "11111111-2222-4333-8444-555555555555";
const contents = "bWVzc2FnZT1oaQ==";
const module = (change: Record<string, unknown> = {}) => ({ module: { name: "hello", module_type: "ping", contents, ...change } });
const long = "x".repeat(256);
const all = ["member", "reader", "admin", "other"] as const;

/** Modules, and what they have to do with instances (contract §2.8, §5.7). The reference's fake guests know of none. */
export const modules: Step[] = [
  ...everyone([...all, "nobody", "expired"], ["GET /modules", `GET /modules/${unknown}`]),
  ...bodies("member", "POST /modules", [
    {}, { module: null }, { module: {} }, { module: [] }, module({ name: "" }), module({ name: long }), module({ name: 1 }), module({ module_type: "" }), module({ module_type: "nothing" }), module({ contents: 1 }), module({ contents: null }),
    module({ description: "" }), module({ description: null }), module({ datastore: "postgresql" }), module({ datastore: { type: "" } }), module({ datastore: { type: "nothing" } }), module({ datastore: { type: "postgresql", version: "nothing" } }), module({ datastore: { version: "17" } }),
    module({ live_update: 2 }), module({ live_update: "1" }), module({ live_update: null }), module({ apply_order: -1 }), module({ apply_order: 10 }), module({ apply_order: "5" }),
    module({ all_tenants: 1 }), module({ auto_apply: 1 }), module({ visible: 0 }), module({ priority_apply: 1 }), module({ full_access: 0 }), module({ full_access: 1 }), module({ full_access: 1, auto_apply: 1 }),
  ]),
  ["reader", "POST /modules", module()],
  ["member", "POST /modules", module({ extra: 1 }), { save: { hello: "module.id" } }],
  ["member", "POST /modules", module()],
  ["member", "POST /modules", module({ datastore: { type: "postgresql", extra: 1 }, description: "d", apply_order: 0, live_update: 1 }), { save: { bound: "module.id" } }],
  ["member", "POST /modules", module({ module_type: "PING", datastore: { type: "postgresql", version: "17" } }), { save: { version: "module.id" } }],
  ["other", "POST /modules", module(), { save: { theirs: "module.id" } }],
  ["admin", "POST /modules", module({ full_access: 1, visible: 0 })],
  ["admin", "POST /modules", module({ name: "shared", all_tenants: 1, priority_apply: 1 }), { save: { shared: "module.id" } }],
  ["admin", "POST /modules", module({ name: "hidden", all_tenants: 1, visible: 0 }), { save: { hidden: "module.id" } }],
  ["admin", "POST /modules", module({ name: "open", full_access: 1 })],
  ...everyone(all, ["GET /modules", "GET /modules?datastore=all", "GET /modules?datastore=postgresql", "GET /modules?datastore=nothing", "GET /modules.json"], { unordered: true }),
  ...everyone(all, ["GET /modules/{hello}", "GET /modules/{shared}", "GET /modules/{hidden}", "GET /modules/{theirs}", "GET /modules/nothing", "GET /modules/{hello}/instances", "GET /modules/{hello}/instances?count_only=True", "GET /modules/{theirs}/instances", `GET /modules/${unknown}/instances`]),
  // Changes.
  ...bodies("member", "PUT /modules/{hello}", [
    {}, { module: null }, { module: { name: "" } }, { module: { live_update: 7 } }, { module: { apply_order: 10 } }, { module: { all_tenants: 1 } }, { module: { auto_apply: 1 } }, { module: { visible: 0 } }, { module: { full_access: 1 } },
    { module: { datastore: { type: "nothing" } } }, { module: { datastore: { version: "17" } } }, { module: { datastore: { type: "postgresql" }, all_datastores: 1 } },
    { module: {} }, { module: { name: "hello2", type: "ping", description: "new" } }, { module: { contents: "bWVzc2FnZT1obw==" } }, { module: { live_update: 1, apply_order: 9 } }, { module: { datastore: { type: "postgresql", version: "17" } } },
    { module: { all_datastores: 1 } }, { module: { all_datastores: 1, all_datastore_versions: 1 } },
  ]),
  ...everyone(["member"], ["GET /modules/{hello}"]),
  ...bodies("member", "PUT /modules/{shared}", [{ module: { name: "mine" } }]),
  ...bodies("member", "PUT /modules/{theirs}", [{ module: { name: "mine" } }]),
  ...bodies("admin", "PUT /modules/{shared}", [{ module: { description: "by admin" } }, { module: { full_access: 1 } }, { module: { priority_apply: 0 } }]),
  ...bodies("member", `PUT /modules/${unknown}`, [{ module: { name: "x" } }]),
  // Instances. What a guest tells of them is not compared: the reference's says nothing.
  ...everyone([...all, "nobody"], ["GET /instances/{one}/modules", `GET /instances/${unknown}/modules`, "GET /instances/nothing/modules"]),
  ...bodies("member", "POST /instances/{one}/modules", [{}, { modules: null }, { modules: {} }, { modules: [{}] }, { modules: [] }, { modules: [{ id: unknown }] }]),
  ["other", "POST /instances/{one}/modules", { modules: [{ id: "{theirs}" }] }],
  ["reader", "POST /instances/{one}/modules", { modules: [] }],
  ["member", `DELETE /instances/{one}/modules/${unknown}`],
  ["member", "DELETE /instances/{one}/modules/{theirs}"],
  ["other", "DELETE /instances/{one}/modules/{hello}"],
  ["member", "POST /instances/{one}/modules", { modules: [{ id: "{bound}" }] }],
  ["member", "POST /instances/{one}/modules", { modules: [{ id: "{hello}" }] }],
  ["member", "GET /modules/{hello}/instances", undefined, { shape: true }],
  ["member", "GET /modules/{hello}/instances?count_only=true", undefined, { shape: true }],
  ["member", "PUT /modules/{hello}", { module: { description: "live" } }],
  ["member", "PUT /modules/{hello}", { module: { live_update: 0 } }],
  ["member", "PUT /modules/{hello}", { module: { description: "refused" } }],
  ["member", "DELETE /modules/{hello}"],
  ...bodies("member", "PUT /modules/{bound}/instances", [{}, { reapply: null }, { reapply: {} }, { reapply: { md5: "x", include_clustered: 0, batch_size: 2, batch_delay: 1, force: 1 } }]),
  ["other", "PUT /modules/{bound}/instances", { reapply: {} }],
  ["member", `PUT /modules/${unknown}/instances`, { reapply: {} }],
  ["member", "DELETE /instances/{one}/modules/{hello}"],
  ["member", "DELETE /instances/{one}/modules/{bound}"],
  // The end of them.
  ...everyone(["reader", "other", "member", "member"], ["DELETE /modules/{hello}"]),
  ...everyone(["member", "admin"], ["DELETE /modules/{shared}", "DELETE /modules/{hidden}"]),
  ...everyone(["member"], ["DELETE /modules/{version}", "DELETE /modules/{bound}", "DELETE /modules/nothing", `DELETE /modules/${unknown}`]),
];
