import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { crashOnce } from "#core/failpoint";
import type { JobKind } from "#core/guest/protocol";
import type { Kind } from "#core/operation/index";
import { workflows } from "#core/workflow/index";
import type { Workflow } from "#core/workflow/define";
import { changes, readied, type Change } from "#test/support/changes";
import { createWorld, type World } from "#test/support/world";

/** What is told of each kind of operation that ends well: contract §8.5, §8.6. */
const told: Record<Kind, string[]> = {
  create: ["instance_create.start", "trove.instance.create", "instance_create.end"],
  destroy: ["instance_delete.start", "trove.instance.delete", "instance_delete.end"],
  restart: ["instance_restart.start", "instance_restart.end"],
  resize_flavor: ["instance_resize_instance.start", "trove.instance.modify_flavor", "instance_resize_instance.end"],
  resize_volume: ["instance_resize_volume.start", "instance_resize_volume.end"],
  reboot: ["instance_reboot.start", "instance_reboot.end"],
  migrate: ["migrate.start", "migrate.end"],
  upgrade: ["upgrade.start", "upgrade.end"],
  backup: ["backup_create.start", "backup_create.end"],
  // Its own creation.
  create_replica: [],
  detach_replica: ["instance_detach.start", "instance_detach.end"],
  promote_replica: ["instance_promote.start", "instance_promote.end"],
  eject_source: ["instance_eject.start", "instance_eject.end"],
  update_access: [],
  rebuild: [],
};

/** Crash at every label, at every point around its effect, then go on with another worker. */
let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

/** Labels of a rollback run only after a failure: they are the ones from `options.rollback` on. */
const split = (kind: Kind) => {
  const { labels, options }: Workflow = workflows[kind];
  const names = Object.keys(labels);
  const at = options.rollback ? names.indexOf(options.rollback) : names.length;
  return { forward: names.slice(0, at), back: names.slice(at) };
};
const around = (kind: Kind, labels: string[]) => labels.flatMap((label) => ["before", "effect", "committed"].map((when) => `${kind}.${label}.${when}`));
const points = (kind: Kind) => around(kind, split(kind).forward);
const rollbackPoints = (Object.keys(changes) as Change[]).flatMap((kind) =>
  around(kind, split(kind).back).map((point) => [kind, point] as const),
);

describe("create", () => {
  test.each(points("create"))("survives a crash at %s with one server, one volume and one port, told once", async (point) => {
    const disarm = crashOnce(point);
    const id = await world.create();
    const { crashes } = await world.drive();
    disarm();
    expect(crashes).toBe(1);
    expect(await world.row(id)).toMatchObject({ task: "NONE", serverState: "ACTIVE", serviceStatus: "healthy" });
    const { servers, volumes, ports } = world.cloud.all();
    expect([servers.length, volumes.length, ports.length]).toEqual([1, 1, 1]);
    expect(await world.usage()).toMatchObject({ instances: 1, ram: 512, volumes: 1 });
    expect(await world.events(id)).toEqual(told.create);
  });
});

describe("destroy", () => {
  test.each(points("destroy"))("survives a crash at %s and leaves nothing", async (point) => {
    const id = await world.create();
    await world.drive();
    const disarm = crashOnce(point);
    await world.as(world.tenant, () => changes.destroy(id, world));
    const { crashes } = await world.drive();
    disarm();
    expect(crashes).toBe(1);
    expect((await world.row(id)).deletedAt).not.toBeNull();
    expect(world.cloud.all()).toEqual({ servers: [], volumes: [], ports: [] });
    expect(await world.usage()).toMatchObject({ instances: 0, ram: 0, volumes: 0 });
    expect(await world.events(id)).toEqual([...told.create, ...told.destroy]);
  });
});

/** Alone, a server; in a replica set, three. */
const servers: Partial<Record<Kind, number>> = { create_replica: 2, detach_replica: 3, promote_replica: 3, eject_source: 3 };

describe.each((Object.keys(changes) as Change[]).filter((kind) => kind !== "destroy"))("%s", (kind) => {
  test.each(points(kind))("survives a crash at %s and ends as without it", async (point) => {
    const made = await world.create();
    await world.drive();
    const at = await readied(kind, made, world);
    const disarm = crashOnce(point);
    const id = (await world.as(world.tenant, () => changes[kind](at, world))) ?? at;
    const { crashes } = await world.drive();
    disarm();
    expect(crashes).toBe(1);
    const row = await world.row(id);
    expect(row).toMatchObject({ task: "NONE", faultMessage: null });
    const [last] = await world.operations(id);
    expect(last).toMatchObject({ kind, outcome: "done" });
    const count = servers[kind] ?? 1;
    expect(world.cloud.all().servers).toHaveLength(count);
    expect((await world.live()).map(({ task }) => task)).toEqual(Array.from({ length: count }, () => "NONE"));
    expect(await world.events(id)).toEqual([...told.create, ...told[kind]]);
    if (kind === "resize_flavor") expect([row.flavorId, (await world.usage()).ram]).toEqual(["2", 1024]);
    if (kind === "resize_volume") expect([row.volumeGb, (await world.usage()).volumes]).toEqual([3, 3]);
    if (kind === "backup") expect(await world.backups()).toMatchObject([{ state: "COMPLETED", instance_id: id, clean_at: null }]);
    if (kind === "update_access") expect(row.access).toEqual({ is_public: false, allowed_cidrs: ["10.0.0.0/8"] });
  });
});

/** A guest's job that fails sends the run into its rollback. */
const spoilers: Partial<Record<Kind, JobKind>> = { resize_flavor: "configure", upgrade: "prepare", promote_replica: "promote", eject_source: "promote" };
/** What is left of the set when its operation went back. */
// A promotion that failed half way leaves nobody sure of what the replica is: it is off.
const after: Partial<Record<Kind, object>> = { promote_replica: { serverState: "SHUTDOWN" }, eject_source: { task: "EJECTING_ERROR", serverState: "SHUTDOWN" } };

test("every workflow with a rollback is crashed in it", () => {
  expect([...new Set(rollbackPoints.map(([kind]) => kind))].sort()).toEqual(Object.keys(spoilers).sort());
});

describe("rollback", () => {
  test.each(rollbackPoints)("of %s survives a crash at %s and ends in the old shape, with its quota and the first cause", async (kind, point) => {
    const made = await world.create();
    await world.drive();
    const id = await readied(kind, made, world);
    const before = await world.row(id);
    const spoiler = spoilers[kind];
    if (!spoiler) throw new Error(`nothing is known to make ${kind} fail`);
    world.cannot.add(spoiler);
    const disarm = crashOnce(point);
    await world.as(world.tenant, () => changes[kind](id, world));
    const back = split(kind).back;
    // The guest recovers once the run is on its way back.
    await world.drive({ until: async () => (await world.running()).some(({ label }) => back.includes(label)) });
    world.cannot.clear();
    const { crashes } = await world.drive();
    disarm();
    expect(crashes).toBe(1);
    const row = await world.row(id);
    expect(row).toMatchObject({ task: "NONE", serverState: "ACTIVE", flavorId: before.flavorId, volumeGb: before.volumeGb, replicaOf: before.replicaOf, ...after[kind] });
    expect(row.faultMessage).toContain(`the guest cannot ${spoiler}`);
    const run = (await world.operations(id)).find((one) => one.kind === kind);
    expect(run).toMatchObject({ outcome: "failed" });
    const [start = ""] = told[kind];
    expect(await world.events(id)).toEqual([...told.create, start, start.replace(".start", ".error")]);
    const count = servers[kind] ?? 1;
    expect(world.cloud.all().servers.map(({ flavorId }) => flavorId)).toEqual(Array.from({ length: count }, () => before.flavorId));
    expect(await world.usage()).toMatchObject({ instances: count, ram: count * 512, volumes: count });
  });
});
