import { afterEach, beforeEach, expect, test } from "vitest";
import { resizeFlavor, restart } from "#core/instance/change";
import { remove, resetStatus } from "#core/instance/remove";
import { statusOf } from "#core/instance/status";
import { removeCondemned } from "#core/workflow/reconcile";
import { until } from "#test/support/cluster";
import { createWorld, type World } from "#test/support/world";

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

const admin = { kind: "user", userId: "root", projectId: "ops", roles: ["admin"], isAdmin: true } as const;

test("DELETE of an instance in BUILD is refused and changes nothing", async () => {
  const id = await world.create();
  await expect(world.as(world.tenant, () => remove(id))).rejects.toMatchObject({ code: "unprocessableEntity" });
  await world.drive();
  expect(statusOf(await world.row(id))).toBe("ACTIVE");
});

test("reset_status cancels a build, then DELETE is accepted at once and nothing is left", async () => {
  const id = await world.create();
  const [run] = await world.running();
  if (!run) throw new Error("no run");
  // Volume and port are there, the server is not yet.
  await world.stepOnce({ operationId: run.id, run: 1 });
  await world.stepOnce({ operationId: run.id, run: 1 });
  await world.as(admin, () => resetStatus(id));
  await world.as(world.tenant, () => remove(id));
  await world.drive();
  expect((await world.row(id)).deletedAt).not.toBeNull();
  expect(world.cloud.all()).toEqual({ servers: [], volumes: [], ports: [] });
  expect(await world.usage()).toMatchObject({ instances: 0, ram: 0, volumes: 0 });
  expect((await world.operations(id)).map(({ kind, outcome }) => [kind, outcome])).toEqual([["destroy", "done"], ["create", "cancelled"]]);
});

test("a delete accepted while another operation runs ends it and takes over", async () => {
  const id = await world.create();
  await world.drive();
  await world.as(world.tenant, () => restart(id));
  await world.as(world.tenant, () => remove(id));
  await world.as(world.tenant, () => remove(id));
  await world.drive();
  expect((await world.row(id)).deletedAt).not.toBeNull();
  expect(world.cloud.all().servers).toEqual([]);
  expect(await world.usage()).toMatchObject({ instances: 0 });
});

test("a worker that lost its lease to the delete writes nothing any more", async () => {
  const id = await world.create();
  await world.drive();
  await world.as(world.tenant, () => resizeFlavor(id, "2", world.config));
  const [run] = await world.running();
  if (!run) throw new Error("no run");
  await world.as(world.tenant, () => remove(id));
  await world.drive();
  expect(await world.stepOnce({ operationId: run.id, run: 1 }, "late")).toEqual({ next: "end", outcome: "cancelled" });
  expect(await world.usage()).toMatchObject({ instances: 0, ram: 0, volumes: 0 });
});

test.each([
  ["while the delete runs", 25_000],
  ["after the delete has ended", 600_000],
])("a create call that lands %s leaves nothing", async (_, ms) => {
  world.cloud.inject({ on: "volume.create", kind: "late", ms });
  const id = await world.create();
  const [run] = await world.running();
  if (!run) throw new Error("no run");
  // The caller's time runs out; the volume appears later than that.
  const stepping = world.stepOnce({ operationId: run.id, run: 1 });
  await until(() => world.clock.sleepers() >= 2, "the create call to hang");
  world.clock.advance(16_000);
  expect(await stepping).toMatchObject({ next: "wait" });
  await world.as(admin, () => resetStatus(id));
  await world.as(world.tenant, () => remove(id));
  await world.drive();
  expect((await world.row(id)).deletedAt).not.toBeNull();
  world.clock.advance(600_000);
  await new Promise((resolve) => setImmediate(resolve));
  await world.asSystem(() => removeCondemned(world.workshop));
  expect(world.cloud.all()).toEqual({ servers: [], volumes: [], ports: [] });
});
