import { afterEach, beforeEach, expect, test } from "vitest";
import { resizeFlavor, resizeVolume, restart, updateAccess } from "#core/instance/change";
import { remove } from "#core/instance/remove";
import { statusOf } from "#core/instance/status";
import { LEASE_SECONDS } from "#core/workflow/context";
import { createWorld, type World } from "#test/support/world";

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

test("a failed create ends in ERROR, says step, cause and next action, and keeps resources and quota until deleted", async () => {
  world.cannot.add("prepare");
  const id = await world.create();
  await world.drive();
  const row = await world.row(id);
  expect(statusOf(row)).toBe("ERROR");
  expect(row.faultMessage).toMatch(/failed at step 'prepare' \(guest\.failed\): the guest cannot prepare.*until you delete the instance/);
  expect(world.cloud.all().servers).toHaveLength(1);
  expect(await world.usage()).toMatchObject({ instances: 1, volumes: 1 });
  await world.as(world.tenant, () => remove(id));
  await world.drive();
  expect(world.cloud.all()).toEqual({ servers: [], volumes: [], ports: [] });
  expect(await world.usage()).toMatchObject({ instances: 0, volumes: 0 });
});

test("a server that comes up in ERROR fails the create with the cloud's words", async () => {
  world.cloud.inject({ on: "server.boot", kind: "before" });
  const id = await world.create();
  await world.drive();
  expect((await world.row(id)).faultMessage).toMatch(/step 'boot' \(server\.error\).*No valid host/);
});

test("a driver that fails a few times delays a create and doubles nothing", async () => {
  world.cloud.inject({ on: "volume.create", kind: "after", times: 2 });
  world.cloud.inject({ on: "port.create", kind: "before", times: 3 });
  world.cloud.inject({ on: "server.create", kind: "throttle", times: 2 });
  const id = await world.create();
  await world.drive();
  expect(await world.row(id)).toMatchObject({ task: "NONE", serverState: "ACTIVE" });
  const { servers, volumes, ports } = world.cloud.all();
  expect([servers.length, volumes.length, ports.length]).toEqual([1, 1, 1]);
  const [create] = await world.operations(id);
  expect(create?.steps.filter(({ outcome }) => outcome === "error").map(({ label }) => label)).toEqual(["volume", "port", "port", "port", "server", "server"]);
});

test("a driver that keeps failing ends the create after a bounded number of attempts", async () => {
  world.cloud.inject({ on: "port.create", kind: "before", times: 1000 });
  const id = await world.create();
  const { steps } = await world.drive();
  expect(steps).toBeLessThan(15);
  expect((await world.row(id)).faultMessage).toMatch(/step 'port' \(unexpected|step 'port' \(driver\.failed/);
});

test("a guest that never reports ends the create at its deadline, not in an eternal BUILD", async () => {
  world.silence(true);
  const id = await world.create();
  await world.drive({ steps: 1000 });
  const row = await world.row(id);
  expect(statusOf(row)).toBe("ERROR");
  expect(row.faultMessage).toMatch(/step 'prepare' \(deadline\): It did not end within 30 minutes/);
});

test("a failed flavor resize goes back to the old flavor and gives back the quota", async () => {
  const id = await world.create();
  await world.drive();
  world.cannot.add("configure");
  await world.as(world.tenant, () => resizeFlavor(id, "2", world.config));
  expect(await world.usage()).toMatchObject({ ram: 1024 });
  await world.drive();
  const row = await world.row(id);
  expect(row).toMatchObject({ task: "NONE", flavorId: "1" });
  expect(row.faultMessage).toContain("resize flavor failed at step 'engine'");
  expect(world.cloud.all().servers.map(({ flavorId }) => flavorId)).toEqual(["1"]);
  expect(await world.usage()).toMatchObject({ ram: 512 });
});

test("a failed volume resize keeps the old size and its quota; repeating it succeeds", async () => {
  const id = await world.create();
  await world.drive();
  world.cannot.add("grow_volume");
  await world.as(world.tenant, () => resizeVolume(id, 2, world.config));
  await world.drive();
  expect(await world.row(id)).toMatchObject({ task: "NONE", volumeGb: 1 });
  expect(await world.usage()).toMatchObject({ volumes: 1 });
  world.cannot.clear();
  await world.as(world.tenant, () => resizeVolume(id, 2, world.config));
  await world.drive();
  expect(await world.row(id)).toMatchObject({ task: "NONE", volumeGb: 2 });
});

test("a failed restart leaves no task, a failed access update shows ERROR, and both say why", async () => {
  const id = await world.create();
  await world.drive();
  world.cannot.add("restart").add("access");
  await world.as(world.tenant, () => restart(id));
  await world.drive();
  expect(await world.row(id)).toMatchObject({ task: "NONE" });
  await world.as(world.tenant, () => updateAccess(id, { allowed_cidrs: [] }));
  await world.drive();
  const row = await world.row(id);
  expect([statusOf(row), row.access]).toEqual(["ERROR", {}]);
  expect(row.faultMessage).toContain("update access failed at step 'engine'");
});

test("two workers on one run: the second waits for the lease, and the first's late writes are refused", async () => {
  const id = await world.create();
  const [run] = await world.running();
  if (!run) throw new Error("no run");
  const input = { operationId: run.id, run: 1 };
  // The first worker hangs in its driver call past its lease.
  world.cloud.inject({ on: "volume.create", kind: "slow", ms: (LEASE_SECONDS + 5) * 1000 });
  const first = world.stepOnce(input, "first");
  await expect.poll(() => world.clock.sleepers()).toBeGreaterThan(1);
  expect(await world.stepOnce(input, "second")).toMatchObject({ next: "busy" });
  world.clock.advance((LEASE_SECONDS + 1) * 1000);
  expect(await world.stepOnce(input, "second")).toMatchObject({ next: "go", label: "port" });
  world.clock.advance(60_000);
  expect(await first).toMatchObject({ next: "busy" });
  await world.drive();
  expect(await world.row(id)).toMatchObject({ task: "NONE" });
  expect(world.cloud.all().volumes).toHaveLength(1);
});

test("a message that arrives before its commit is visible is looked at again; an older run does nothing", async () => {
  expect(await world.stepOnce({ operationId: "00000000-0000-4000-8000-000000000000", run: 1 })).toMatchObject({ next: "busy" });
  await world.create();
  const [run] = await world.running();
  if (!run) throw new Error("no run");
  expect(await world.stepOnce({ operationId: run.id, run: 9 })).toEqual({ next: "end", outcome: "superseded" });
});
