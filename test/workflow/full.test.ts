import { afterEach, beforeEach, expect, test } from "vitest";
import { resizeVolume } from "#core/instance/change";
import { act } from "#test/support/guests";
import { createWorld, type World } from "#test/support/world";

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

test("an instance is read-only from the first report that says so to the first that does not, and grows meanwhile", async () => {
  const id = await world.create();
  await world.drive();
  const { projectId, generation } = await world.row(id);
  const report = async (writes?: "open" | "guarded" | "closed") => {
    await world.asSystem(() => act({ instanceId: id, projectId, generation }, writes && { writes }));
    return (await world.row(id)).readOnlySince;
  };
  expect(await report("open")).toBeNull();
  const since = await report("guarded");
  expect(since).toEqual(world.clock.now());
  world.clock.advance(60_000);
  expect(await report("closed")).toEqual(since);
  await world.as(world.tenant, () => resizeVolume(id, 2, world.config));
  await world.drive();
  expect((await world.row(id)).volumeGb).toBe(2);
  expect(await report("open")).toBeNull();
  // An agent that knows nothing of it says nothing of it.
  await report("guarded");
  expect(await report()).toBeNull();
});
