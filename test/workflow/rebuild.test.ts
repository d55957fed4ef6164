import { afterEach, beforeEach, expect, test } from "vitest";
import { AppError } from "#core/error";
import { pending, report } from "#core/guest/server";
import { PROTOCOL } from "#core/guest/protocol";
import { createDatabases } from "#core/instance/databases";
import { migrate, rebuild } from "#core/instance/manage";
import { statusOf } from "#core/instance/status";
import { testSeal } from "#test/support/seal";
import { createWorld, type World } from "#test/support/world";

let world: World;
let id: string;
beforeEach(async () => {
  world = await createWorld();
  id = await world.create();
  await world.drive();
});
afterEach(() => world.close());

const begin = () => world.as(world.tenant, () => rebuild(id, world.imageId, world.images));

test("a rebuild keeps server, volume and port, and gives the instance a guest of the next generation", async () => {
  const before = world.cloud.all();
  const token = before.servers[0]?.spec.boot.token;
  await begin();
  await world.drive();
  const after = world.cloud.all();
  const ids = ({ servers, volumes, ports }: typeof after) => [servers, volumes, ports].map((kind) => kind.map((one) => one.id));
  expect(ids(after)).toEqual(ids(before));
  expect(after.servers.map(({ rebuilds, spec }) => [rebuilds, spec.boot.generation])).toEqual([[1, 2]]);
  expect(after.servers[0]?.spec.boot.token).not.toBe(token);
  expect(await world.row(id)).toMatchObject({ task: "NONE", generation: 2, serviceStatus: "healthy", faultMessage: null });
});

test("from the fence on the old guest is not heard, and what waited for it is told to have failed", async () => {
  const { projectId } = await world.row(id);
  const old = { instanceId: id, projectId, generation: 1 };
  world.silence(true);
  await world.as(world.tenant, () => createDatabases(id, [{ name: "late" }], { doorbell: world.workshop.doorbell, waitMs: 0 }));
  await begin();
  await world.drive({ until: async () => (await world.running()).some(({ label }) => label === "engine") });
  const said = world.asSystem(() => report(old, { report: { serviceStatus: "healthy", agentVersion: "old" }, results: [], protocol: PROTOCOL }));
  await expect(said).rejects.toMatchObject({ code: "unauthorized" });
  expect(await world.asSystem(() => pending(old, testSeal))).toEqual([]);
  const [job] = await world.db.owner`select state, error from guest_job where instance_id = ${id} and kind = 'create_databases'`;
  expect(job).toMatchObject({ state: "failed", error: "The instance was rebuilt." });
  world.silence(false);
  await world.drive();
  expect((await world.row(id)).task).toBe("NONE");
});

test("a guest that has enrolled is not made anew when the label runs again", async () => {
  await begin();
  await world.drive({ until: async () => (await world.running()).some(({ label }) => label === "boot") });
  await world.db.owner`update guest set public_key = 'x'::bytea where instance_id = ${id}`;
  await world.db.owner`update operation set label = 'server' where instance_id = ${id} and outcome is null`;
  world.cloud.inject({ on: "server.rebuild", kind: "before", times: 1000 });
  await world.drive();
  expect(await world.row(id)).toMatchObject({ task: "NONE", faultMessage: null });
});

test("a rebuild that fails shows ERROR with its cause, and repeating it repairs the instance", async () => {
  world.cannot.add("prepare");
  await begin();
  await world.drive();
  const row = await world.row(id);
  expect([statusOf(row), row.faultMessage]).toEqual(["ERROR", expect.stringContaining("rebuild failed at step 'engine'")]);
  world.cannot.clear();
  await begin();
  await world.drive();
  expect(await world.row(id)).toMatchObject({ task: "NONE", generation: 3 });
});

test("where there is no other host a migration fails with that word, and the instance goes on as it was", async () => {
  world.workshop.compute = { ...world.cloud.compute, migrate: () => Promise.reject(new AppError("badRequest", "No valid host was found.", { reason: "server.no_host", final: true })) };
  await world.as(world.tenant, () => migrate(id, undefined));
  await world.drive();
  expect(await world.row(id)).toMatchObject({ task: "NONE", serverState: "ACTIVE", serviceStatus: "healthy" });
  expect((await world.row(id)).faultMessage).toContain("No valid host was found");
  expect(world.cloud.all().servers.map(({ reboots, migrations }) => [reboots, migrations])).toEqual([[0, 0]]);
});
