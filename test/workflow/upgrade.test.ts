import { afterEach, beforeEach, expect, test } from "vitest";
import { AppError } from "#core/error";
import { upgrade } from "#core/instance/upgrade";
import { statusOf } from "#core/instance/status";
import { nameId } from "#core/datastore/seed";
import { createWorld, type World } from "#test/support/world";

const [before, after] = [nameId("postgresql", "17"), nameId("postgresql", "17-next")];

let world: World;
let id: string;
beforeEach(async () => {
  world = await createWorld();
  id = await world.create();
  await world.drive();
});
afterEach(() => world.close());

const begin = () => world.as(world.tenant, () => upgrade(id, "17-next", world.images));
const things = () => {
  const { servers, volumes, ports } = world.cloud.all();
  return [servers, volumes, ports].map((kind) => kind.map((one) => one.id));
};

test("an upgrade keeps server, volume and port, shows the new version at once and UPGRADE meanwhile", async () => {
  const kept = things();
  await begin();
  const during = await world.row(id);
  expect([statusOf(during), during.datastoreVersionId]).toEqual(["UPGRADE", after]);
  await world.drive();
  expect(things()).toEqual(kept);
  expect(await world.row(id)).toMatchObject({ task: "NONE", generation: 2, datastoreVersionId: after, serviceStatus: "healthy", faultMessage: null });
});

test("an upgrade that the new guest cannot complete goes back to the version before, served by a guest of the generation after it", async () => {
  world.cannot.add("prepare");
  await begin();
  await world.drive({ until: async () => (await world.running()).some(({ label }) => label === "revert_server") });
  world.cannot.clear();
  await world.drive();
  const row = await world.row(id);
  expect(row).toMatchObject({ task: "NONE", generation: 3, datastoreVersionId: before, serviceStatus: "healthy" });
  expect(row.faultMessage).toContain("upgrade failed at step 'engine'");
  expect(world.cloud.all().servers.map(({ rebuilds, spec }) => [rebuilds, spec.boot.generation])).toEqual([[2, 3]]);
});

test("where going back fails too the instance is in ERROR, and another upgrade repairs it", async () => {
  world.cannot.add("prepare");
  await begin();
  await world.drive();
  const failed = await world.row(id);
  expect([failed.task, statusOf(failed), failed.datastoreVersionId]).toEqual(["UPGRADING_ERROR", "ERROR", before]);
  world.cannot.clear();
  await begin();
  await world.drive();
  expect(await world.row(id)).toMatchObject({ task: "NONE", datastoreVersionId: after, generation: 4 });
});

test("a cloud that cannot make the server anew leaves the instance as it was", async () => {
  let refusals = 1;
  const { compute } = world.cloud;
  world.workshop.compute = {
    ...compute,
    rebuild: (...args) => (refusals-- > 0 ? Promise.reject(new AppError("badRequest", "The image is broken.", { reason: "image.broken", final: true })) : compute.rebuild(...args)),
  };
  await begin();
  await world.drive();
  const row = await world.row(id);
  expect(row).toMatchObject({ task: "NONE", datastoreVersionId: before, serviceStatus: "healthy" });
  expect(row.faultMessage).toContain("The image is broken.");
});
