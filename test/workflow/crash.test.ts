import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { crashOnce } from "#core/failpoint";
import type { JobKind } from "#core/guest/protocol";
import type { Kind } from "#core/operation/index";
import { workflows } from "#core/workflow/index";
import type { Workflow } from "#core/workflow/define";
import { changes } from "#test/support/changes";
import { createWorld, type World } from "#test/support/world";

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
const rollbackPoints = (Object.keys(changes) as (keyof typeof changes)[]).flatMap((kind) =>
  around(kind, split(kind).back).map((point) => [kind, point] as const),
);

describe("create", () => {
  test.each(points("create"))("survives a crash at %s with one server, one volume and one port", async (point) => {
    const disarm = crashOnce(point);
    const id = await world.create();
    const { crashes } = await world.drive();
    disarm();
    expect(crashes).toBe(1);
    expect(await world.row(id)).toMatchObject({ task: "NONE", serverState: "ACTIVE", serviceStatus: "healthy" });
    const { servers, volumes, ports } = world.cloud.all();
    expect([servers.length, volumes.length, ports.length]).toEqual([1, 1, 1]);
    expect(await world.usage()).toMatchObject({ instances: 1, ram: 512, volumes: 1 });
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
  });
});

describe.each((Object.keys(changes) as (keyof typeof changes)[]).filter((kind) => kind !== "destroy"))("%s", (kind) => {
  test.each(points(kind))("survives a crash at %s and ends as without it", async (point) => {
    const id = await world.create();
    await world.drive();
    const disarm = crashOnce(point);
    await world.as(world.tenant, () => changes[kind](id, world));
    const { crashes } = await world.drive();
    disarm();
    expect(crashes).toBe(1);
    const row = await world.row(id);
    expect(row).toMatchObject({ task: "NONE", faultMessage: null });
    const [last] = await world.operations(id);
    expect(last).toMatchObject({ kind, outcome: "done" });
    expect(world.cloud.all().servers).toHaveLength(1);
    if (kind === "resize_flavor") expect([row.flavorId, (await world.usage()).ram]).toEqual(["2", 1024]);
    if (kind === "resize_volume") expect([row.volumeGb, (await world.usage()).volumes]).toEqual([3, 3]);
    if (kind === "backup") expect(await world.backups()).toMatchObject([{ state: "COMPLETED", instance_id: id, clean_at: null }]);
    if (kind === "update_access") expect(row.access).toEqual({ is_public: false, allowed_cidrs: ["10.0.0.0/8"] });
  });
});

/** A guest's job that fails sends the run into its rollback. */
const spoilers: Partial<Record<Kind, JobKind>> = { resize_flavor: "configure" };

test("every workflow with a rollback is crashed in it", () => {
  expect([...new Set(rollbackPoints.map(([kind]) => kind))].sort()).toEqual(Object.keys(spoilers).sort());
});

describe("rollback", () => {
  test.each(rollbackPoints)("of %s survives a crash at %s and ends in the old shape, with its quota and the first cause", async (kind, point) => {
    const id = await world.create();
    await world.drive();
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
    expect(row).toMatchObject({ task: "NONE", serverState: "ACTIVE", flavorId: before.flavorId, volumeGb: before.volumeGb });
    expect(row.faultMessage).toContain(`the guest cannot ${spoiler}`);
    const [last] = await world.operations(id);
    expect(last).toMatchObject({ kind, outcome: "failed" });
    expect(world.cloud.all().servers.map(({ flavorId }) => flavorId)).toEqual([before.flavorId]);
    expect(await world.usage()).toMatchObject({ instances: 1, ram: 512, volumes: 1 });
  });
});
