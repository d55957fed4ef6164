import { afterEach, beforeEach, expect, test } from "vitest";
import { within } from "#core/context";
import type { Reach } from "#core/instance/index";
import * as Instance from "#core/instance/index";
import * as Configuration from "#core/configuration/index";
import { createWorld, type World } from "#test/support/world";

/** Contract §8.6: what is asked is told when it is accepted and when it ends, and nothing else is. */
let world: World;
let id: string;
const reach: Reach = { doorbell: { ring: async () => {} }, waitMs: 0 };
beforeEach(async () => {
  world = await createWorld();
  id = await world.create();
  await world.drive();
});
afterEach(() => world.close());

const asked = <T>(work: () => Promise<T>) => world.as(world.tenant, () => within({ requestId: "req-1", origin: { clientIp: "10.1.2.3", serverIp: "db.example" } }, work));
const told = async (stream = id) => (await world.db.owner<{ type: string; payload: Record<string, unknown> }[]>`select type, payload from event where stream = ${stream} order by seq`).map(({ type, payload }) => ({ type, ...payload }));
/** After what the create told. */
const since = async () => (await told()).slice(3);
const way = { tenant_id: "p1", client_ip: "10.1.2.3", server_ip: "db.example", request_id: "req-1" };
const soon = (work: () => Promise<unknown>) =>
  asked(work).then(
    () => {},
    () => {
      // Not done within no time at all; the guest does it later.
    },
  );

test("a create tells what was asked, then what there is to charge for, then its end", async () => {
  const [start, usage, end] = await told();
  expect(start).toEqual({
    type: "dbaas.instance_create.start", instance_id: id, name: "db", flavor_id: "1", datastore: "postgresql", datastore_version: "17", image_id: expect.any(String) as string,
    availability_zone: null, region_name: "RegionOne", volume_size: 1, databases: "app", users: "alice", tenant_id: "p1", client_ip: null, server_ip: null, request_id: null, server_type: "api",
  });
  const { servers, volumes } = world.cloud.all();
  expect(usage).toEqual({
    type: "trove.instance.create", name: "db", instance_id: id, instance_name: "db", instance_type: "tiny", instance_type_id: "1", instance_size: 512, created_at: "2026-01-01T00:00:00", launched_at: "2026-01-01T00:00:00",
    nova_instance_id: servers[0]?.id, nova_volume_id: volumes[0]?.id, volume_size: 1, region: "RegionOne", availability_zone: null, state: "active", state_description: "active", tenant_id: "p1", user_id: "ann", service_id: "ac277e0d-4f21-40aa-b347-1ea31e571720",
  });
  expect(end).toEqual({ type: "dbaas.instance_create.end", instance_id: id, tenant_id: "p1", client_ip: null, server_ip: null, request_id: null, server_type: "taskmanager" });
});

test("each kind of work on databases and users tells its names, where the request came from, and its end", async () => {
  const works: [string, Record<string, string>, () => Promise<unknown>][] = [
    ["database_create", { dbname: "one,two" }, () => Instance.createDatabases(id, [{ name: "one" }, { name: "two" }], reach)],
    ["user_create", { username: "bob" }, () => Instance.createUsers(id, [{ name: "bob", password: "x", databases: [] }], reach)],
    ["user_grant", { username: "bob", database: "one,two" }, () => Instance.grant(id, "bob", ["one", "two"], reach)],
    ["user_revoke", { username: "bob", database: "two" }, () => Instance.revoke(id, "bob", "two", reach)],
    ["user_change_password", { username: "bob,alice" }, () => Instance.changePasswords(id, [{ name: "bob", password: "y" }, { name: "alice", password: "z" }], reach)],
    ["user_update_attributes", { username: "bob" }, () => Instance.updateUser(id, "bob", { name: "rob" }, reach)],
    ["user_delete", { username: "rob" }, () => Instance.deleteUser(id, "rob", reach)],
    ["database_delete", { dbname: "two" }, () => Instance.deleteDatabase(id, "two", reach)],
  ];
  for (const [name, traits, work] of works) {
    const before = (await told()).length;
    await soon(work);
    expect((await told()).slice(before), name).toEqual([{ type: `dbaas.${name}.start`, instance_id: id, ...traits, ...way, server_type: "api" }]);
    await world.guestsAct();
    expect((await told()).slice(before + 1), name).toEqual([{ type: `dbaas.${name}.end`, instance_id: id, ...way, server_type: "taskmanager" }]);
  }
});

test("work that the guest cannot do ends in an error with its words; said twice by the guest it is told once", async () => {
  world.cannot.add("create_users");
  await asked(() => Instance.createUsers(id, [{ name: "bob", password: "x", databases: [] }], reach));
  await world.guestsAct();
  await world.guestsAct();
  expect((await since()).map(({ type }) => type)).toEqual(["dbaas.user_create.start", "dbaas.user_create.error"]);
  expect((await since()).at(-1)).toMatchObject({ message: "the guest cannot create_users", exception: "guest.failed", ...way });
});

test("what is refused tells nothing, nor do renaming, access, root and questions", async () => {
  await expect(asked(() => Instance.createDatabases(id, [{ name: "app" }], reach))).rejects.toThrow("exists already");
  await expect(asked(() => Instance.resizeFlavor(id, "1", world.config))).rejects.toThrow("has this flavor already");
  await asked(() => Instance.rename(id, "other"));
  await soon(() => Instance.enableRoot(id, undefined, reach));
  await asked(() => Instance.updateAccess(id, { is_public: false }));
  await world.drive();
  await world.guestsAct();
  expect(await since()).toEqual([]);
});

test("a delete closes what still waits for the guest before it is told to have ended", async () => {
  world.silence(true);
  await asked(() => Instance.createDatabases(id, [{ name: "late" }], reach));
  await asked(() => Instance.remove(id));
  await world.drive();
  expect((await since()).map(({ type }) => type)).toEqual(["dbaas.database_create.start", "dbaas.instance_delete.start", "dbaas.database_create.error", "trove.instance.delete", "dbaas.instance_delete.end"]);
  expect((await since())[3]).toMatchObject({ state: "shutdown", deleted_at: expect.stringMatching(/^2026-01-01T\d\d:\d\d:\d\d$/) as string });
});

test("a run that is reset is told as an error, the reset as done at once; a delete during a run ends it so", async () => {
  await asked(() => Instance.restart(id));
  await asked(() => Instance.resetStatus(id));
  await world.drive();
  expect((await since()).map(({ type }) => type)).toEqual(["dbaas.instance_restart.start", "dbaas.instance_reset_status.start", "dbaas.instance_reset_status.end", "dbaas.instance_restart.error"]);
  expect((await since()).at(-1)).toMatchObject({ exception: "cancelled", message: "It was cancelled by reset_status." });
  await world.guestsAct();
  await asked(() => Instance.resizeVolume(id, 2, world.config));
  await asked(() => Instance.remove(id));
  await world.drive();
  const last = (await since()).slice(4);
  expect(last.map(({ type }) => type)).toEqual(["dbaas.instance_resize_volume.start", "dbaas.instance_resize_volume.error", "dbaas.instance_delete.start", "trove.instance.delete", "dbaas.instance_delete.end"]);
  expect(last[0]).toMatchObject({ new_size: 2 });
});

test("groups tell when they are made, changed and removed; attaching and detaching when the guest has done it", async () => {
  const { group } = await asked(() => Configuration.create({ name: "g", datastore: {}, values: { work_mem: 4096 } }, "postgresql"));
  await soon(() => Configuration.attach(id, group.id, reach));
  await world.guestsAct();
  await soon(() => Configuration.merge(group.id, { work_mem: 8192 }, reach));
  await world.guestsAct();
  await soon(() => Configuration.replace(group.id, { name: "h", values: { work_mem: 8192 } }, reach));
  await world.guestsAct();
  await soon(() => Configuration.detach(id, reach));
  await world.guestsAct();
  await asked(() => Configuration.remove(group.id));
  const names = ["configuration_create", "configuration_edit", "configuration_update", "configuration_delete"];
  const all = await told(group.id);
  expect(all.map(({ type }) => type)).toEqual(names.flatMap((name) => [`dbaas.${name}.start`, `dbaas.${name}.end`]));
  expect(all[0]).toMatchObject({ configuration_id: group.id, name: "g", datastore: "postgresql", datastore_version: "17", server_type: "api" });
  expect(all[4]).toMatchObject({ name: "h" });
  expect((await since()).map(({ type }) => type)).toEqual(["attach", "detach"].flatMap((verb) => [`dbaas.instance_${verb}_configuration.start`, `dbaas.instance_${verb}_configuration.end`]));
  expect((await since())[0]).toMatchObject({ configuration_id: group.id });
});
