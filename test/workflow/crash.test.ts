import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { crashOnce } from "#core/failpoint";
import type { JobKind } from "#core/guest/protocol";
import type { Kind } from "#core/operation/index";
import { workflows } from "#core/workflow/index";
import type { Workflow } from "#core/workflow/define";
import { changes, type Change } from "#test/support/changes";
import { extent } from "#test/support/extent";
import { standing, type Stand } from "#test/support/stand";
import type { World } from "#test/support/world";

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

/** Where that kind of operation can begin; every test goes on from there in a world of its own. */
function from(kind: Kind) {
  let stand: Stand;
  beforeAll(async () => {
    stand = await standing(kind);
  });
  beforeEach(async () => {
    world = await stand.open();
  });
  afterAll(() => stand.close());
  return {
    begin: (opened: World) => stand.begin(opened),
    /** The instance for which it will be asked. */
    before: (opened: World) => opened.row(stand.at ?? ""),
  };
}

/** Labels of a rollback run only after a failure: they are the ones from `options.rollback` on. */
const split = (kind: Kind) => {
  const { labels, options }: Workflow = workflows[kind];
  const names = Object.keys(labels);
  const at = options.rollback ? names.indexOf(options.rollback) : names.length;
  return { forward: names.slice(0, at), back: names.slice(at) };
};
const around = (kind: Kind, labels: string[]) => extent(labels.map((label) => ["before", "effect", "committed"].map((when) => `${kind}.${label}.${when}`)));
const points = (kind: Kind) => around(kind, split(kind).forward);
const turning = (Object.keys(changes) as Change[]).filter((kind) => split(kind).back.length > 0);

describe("create", () => {
  const stand = from("create");

  test.each(points("create"))("survives a crash at %s with one server, one volume and one port, told once", async (point) => {
    const disarm = crashOnce(point);
    const id = await stand.begin(world);
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
  const stand = from("destroy");

  test.each(points("destroy"))("survives a crash at %s and leaves nothing", async (point) => {
    const disarm = crashOnce(point);
    const id = await stand.begin(world);
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
  const stand = from(kind);

  test.each(points(kind))("survives a crash at %s and ends as without it", async (point) => {
    const disarm = crashOnce(point);
    const id = await stand.begin(world);
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
  expect(turning.toSorted()).toEqual(Object.keys(spoilers).sort());
});

describe.each(turning)("rollback of %s", (kind) => {
  const stand = from(kind);
  const { back } = split(kind);

  test.each(around(kind, back))("survives a crash at %s and ends in the old shape, with its quota and the first cause", async (point) => {
    const spoiler = spoilers[kind];
    if (!spoiler) throw new Error(`nothing is known to make ${kind} fail`);
    world.cannot.add(spoiler);
    const disarm = crashOnce(point);
    const { flavorId, volumeGb, replicaOf } = await stand.before(world);
    const id = await stand.begin(world);
    // The guest recovers once the run is on its way back.
    await world.drive({ until: async () => (await world.running()).some(({ label }) => back.includes(label)) });
    world.cannot.clear();
    const { crashes } = await world.drive();
    disarm();
    expect(crashes).toBe(1);
    const row = await world.row(id);
    expect(row).toMatchObject({ task: "NONE", serverState: "ACTIVE", flavorId, volumeGb, replicaOf, ...after[kind] });
    expect(row.faultMessage).toContain(`the guest cannot ${spoiler}`);
    const run = (await world.operations(id)).find((one) => one.kind === kind);
    expect(run).toMatchObject({ outcome: "failed" });
    const [start = ""] = told[kind];
    expect(await world.events(id)).toEqual([...told.create, start, start.replace(".start", ".error")]);
    const count = servers[kind] ?? 1;
    expect(world.cloud.all().servers.map((one) => one.flavorId)).toEqual(Array.from({ length: count }, () => flavorId));
    expect(await world.usage()).toMatchObject({ instances: count, ram: count * 512, volumes: count });
  });
});
