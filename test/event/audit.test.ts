import { afterEach, beforeEach, expect, test } from "vitest";
import { tellExisting, tellQuotas } from "#core/event/audit";
import { defaultLimits } from "#core/quota/index";
import { createWorld, type World } from "#test/support/world";

const HOUR = 3600;

let world: World;
beforeEach(async () => {
  world = await createWorld({ start: new Date("2026-01-01T10:20:00Z") });
});
afterEach(() => world.close());

const tell = (seconds = 20) => world.asSystem(() => tellExisting(HOUR, seconds));
const told = () => world.db.owner<{ stream: string; payload: Record<string, unknown> }[]>`select stream, payload from event where type = 'trove.instance.exists' order by seq`;
const hours = (count: number) => world.clock.advance(count * HOUR * 1000);

test("every instance that is there is told of once for each period that is over, however many try at once", async () => {
  const ids = [await world.create(), await world.create({ name: "other" })];
  await world.drive();
  await tell();
  expect(await told()).toEqual([]);
  for (let hour = 1; hour <= 3; hour++) {
    hours(1);
    await Promise.all([tell(), tell(), tell()]);
    await tell();
    expect(await told()).toHaveLength(2 * hour);
  }
  expect((await told()).slice(0, 2).map(({ stream }) => stream).sort()).toEqual(ids.sort());
  const first = (await told()).find(({ payload }) => payload.display_name === "db");
  expect(first?.payload).toMatchObject({
    audit_period_beginning: "2026-01-01T10:00:00Z", audit_period_ending: "2026-01-01T11:00:00Z", created_at: "2026-01-01T10:20:00", state: "active", instance_type_id: "1", tenant_id: "p1", user_id: "ann",
    service_id: "ac277e0d-4f21-40aa-b347-1ea31e571720", nova_instance_id: expect.any(String) as string,
  });
});

test("periods are made up for after nothing ran, but no instance is told of for one before it was made, or after it is gone", async () => {
  await tell();
  hours(3);
  const id = await world.create();
  await world.drive();
  hours(2);
  await tell();
  expect((await told()).map(({ payload }) => payload.audit_period_ending)).toEqual(["2026-01-01T14:00:00Z", "2026-01-01T15:00:00Z"]);
  const { remove } = await import("#core/instance/remove");
  await world.as(world.tenant, () => remove(id));
  await world.drive();
  hours(5);
  await tell();
  expect(await told()).toHaveLength(2);
});

test("a fleet is told of piece by piece, and goes on where it was stopped", async () => {
  const id = await world.create();
  await world.drive();
  const columns = (await world.db.owner<{ name: string }[]>`select column_name as name from information_schema.columns where table_name = 'instance' and column_name <> 'id'`).map(({ name }) => `"${name}"`).join(", ");
  await world.db.owner.unsafe(`insert into instance (id, ${columns}) select gen_random_uuid(), ${columns} from instance, generate_series(1, 1200)`);
  await tell();
  hours(1);
  for (const count of [500, 1000, 1201]) {
    await tell(0);
    expect(await told()).toHaveLength(count);
  }
  expect(await tell(0)).toBe(0);
  expect(new Set((await told()).map(({ stream }) => stream)).size).toBe(1201);
  expect((await told()).map(({ stream }) => stream)).toContain(id);
});

test("what was not told for more than a day is left out, and said to be", async () => {
  await world.create();
  await world.drive();
  await tell();
  hours(100);
  await tell();
  const periods = (await told()).map(({ payload }) => payload.audit_period_beginning);
  expect(periods).toHaveLength(24);
  expect([periods[0], periods.at(-1)]).toEqual(["2026-01-04T14:00:00Z", "2026-01-05T13:00:00Z"]);
});

test("what every project has in use is told likewise, with its limits", async () => {
  await world.create();
  await world.db.owner`insert into quota (project_id, resource, hard_limit) values ('p1', 'ram', 4096)`;
  const quotas = () => world.asSystem(() => tellQuotas(HOUR, defaultLimits(world.config)));
  await quotas();
  hours(1);
  await Promise.all([quotas(), quotas()]);
  const rows = await world.db.owner<{ payload: Record<string, unknown> }[]>`select payload from event where type = 'dbaas.quota' order by seq`;
  const limits = defaultLimits(world.config);
  expect(rows.map(({ payload }) => [payload.resource, payload.in_use, payload.reserved, payload.limit, payload.tenant_id])).toEqual([["instances", 1, 0, limits.instances, "p1"], ["ram", 512, 0, 4096, "p1"], ["volumes", 1, 0, limits.volumes, "p1"]]);
});
