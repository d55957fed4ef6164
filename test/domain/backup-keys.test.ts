import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { create } from "#core/backup/create";
import { dataKeyOf, rotateDue, rotateProjectKey } from "#core/backup/keys";
import { createSeal } from "#core/seal";
import { testSeal } from "#test/support/seal";
import { createWorld, type World } from "#test/support/world";

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

const keyOf = (id: string, seal = testSeal, make = false) => world.asSystem(() => dataKeyOf({ id, projectId: "p1" }, seal, { make }));

/** Two backups of one project, with their data keys. */
async function twoKeys() {
  const ids: string[] = [];
  for (let count = 0; count < 2; count++) {
    const instanceId = await world.create();
    await world.drive();
    ids.push((await world.as(world.tenant, () => create({ instanceId, name: "b", incremental: false }, world.config))).backup.id);
    await world.drive();
  }
  const keys = await Promise.all(ids.map((id) => keyOf(id, testSeal, true)));
  return { ids, keys };
}
const wrapped = () => world.db.owner`select wrapped from data_key order by id`;
const outer = () => world.db.owner`select wrapped, made_at from project_key`;

test("every backup has a data key of its own, made once, also when it is asked for at once", async () => {
  const { ids: [id = ""], keys } = await twoKeys();
  expect(keys.map((key) => key.length)).toEqual([32, 32]);
  expect(keys[0]?.equals(keys[1] ?? Buffer.alloc(0))).toBe(false);
  const all = await Promise.all(Array.from({ length: 5 }, () => keyOf(id, testSeal, true)));
  expect(all.every((key) => key.equals(keys[0] ?? Buffer.alloc(0)))).toBe(true);
});

test("a rotation of the project's key wraps every data key anew and changes none", async () => {
  const { ids, keys } = await twoKeys();
  const before = [await wrapped(), await outer()];
  await world.asSystem(() => rotateProjectKey("p1", testSeal));
  const after = [await wrapped(), await outer()];
  expect(after[0]?.some((row, at) => (row.wrapped as Buffer).equals(before[0]?.[at]?.wrapped as Buffer))).toBe(false);
  expect((after[1]?.[0]?.wrapped as Buffer).equals(before[1]?.[0]?.wrapped as Buffer)).toBe(false);
  expect(await Promise.all(ids.map((id) => keyOf(id)))).toEqual(keys);
});

test("keys that are made while the project's is rotated are wrapped with the new one", async () => {
  const { ids, keys } = await twoKeys();
  await world.db.owner`delete from data_key where id = ${ids[1] ?? ""}`;
  const [made] = await Promise.all([keyOf(ids[1] ?? "", testSeal, true), ...Array.from({ length: 3 }, () => world.asSystem(() => rotateProjectKey("p1", testSeal)))]);
  expect(await Promise.all(ids.map((id) => keyOf(id)))).toEqual([keys[0], made]);
});

test("a project's key is rotated by itself after a year, and not before", async () => {
  const { ids, keys } = await twoKeys();
  expect(await world.asSystem(() => rotateDue(testSeal))).toBe(0);
  world.clock.advance(366 * 86_400_000);
  expect(await world.asSystem(() => rotateDue(testSeal))).toBe(1);
  expect(await world.asSystem(() => rotateDue(testSeal))).toBe(0);
  expect(await Promise.all(ids.map((id) => keyOf(id)))).toEqual(keys);
});

test("another root key opens nothing", async () => {
  const { ids } = await twoKeys();
  await expect(keyOf(ids[0] ?? "", createSeal(Buffer.alloc(32, 9)))).rejects.toThrow(/cannot be opened/);
});

test("a wrapped key that was moved to another row opens nothing", async () => {
  const { ids } = await twoKeys();
  await world.db.owner`update data_key set wrapped = (select wrapped from data_key where id = ${ids[0] ?? ""}) where id = ${ids[1] ?? ""}`;
  await expect(keyOf(ids[1] ?? "")).rejects.toThrow(/cannot be opened/);
  await world.db.owner`insert into project_key (project_id, wrapped, made_at) select 'p2', wrapped, made_at from project_key`;
  await expect(world.asSystem(() => dataKeyOf({ id: ids[0] ?? "", projectId: "p2" }, testSeal, { make: false }))).rejects.toThrow(/cannot be opened/);
});

test("a backup without a key says so, and none is made for who only reads", async () => {
  const { ids } = await twoKeys();
  await world.db.owner`delete from data_key where id = ${ids[0] ?? ""}`;
  await expect(keyOf(ids[0] ?? "")).rejects.toThrow(/no key/);
  await expect(keyOf(randomUUID())).rejects.toThrow(/no key/);
});
