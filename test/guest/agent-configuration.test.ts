import { expect, test } from "vitest";
import { rig, until } from "#test/guest/agent-rig";

/** What a configuration group does to a server, and what the agent does when the server does not start with it. */
async function prepared() {
  const made = await rig();
  await made.start();
  const { job } = made;
  await job("prepare", { memoryMb: 512, volumeGb: 1, cidrs: null, databases: [], users: [] });
  return { ...made, apply: (overrides: Record<string, unknown>) => job("apply_configuration", { overrides, before: { configurationId: null, pending: false } }) };
}

test("values are put in force, kept for the next agent, and what waits for a restart is told", async () => {
  const { world, apply, leave, start, job } = await prepared();
  expect(await apply({ dynamic: 1, static_one: 2 })).toMatchObject({ ok: true, result: { restartRequired: ["static_one"] } });
  expect(world.settings).toMatchObject({ overrides: { dynamic: 1, static_one: 2 } });
  await leave();
  world.crash();
  await start();
  await until("the server to be back", () => world.isRunning);
  expect(world.settings).toMatchObject({ overrides: { dynamic: 1, static_one: 2 } });
  expect(await job("restart", { overrides: {} })).toMatchObject({ ok: true });
  expect(world.settings).toMatchObject({ overrides: {} });
});

test("what the server would not take is refused, and nothing changes", async () => {
  const { world, apply } = await prepared();
  await apply({ dynamic: 1 });
  expect(await apply({ invalid: 1 })).toMatchObject({ ok: false, error: "invalid: no such parameter" });
  expect(world.settings).toMatchObject({ overrides: { dynamic: 1 } });
});

test("a restart with values that keep the server from starting ends with the server up as it was, and says why", async () => {
  const { world, apply, job } = await prepared();
  await apply({ dynamic: 1 });
  expect(await job("restart", { overrides: { dynamic: 1 } })).toMatchObject({ ok: true });
  await apply({ dynamic: 2, fatal: 1 });
  const failed = await job("restart", { overrides: { dynamic: 2, fatal: 1 } });
  expect(failed).toMatchObject({ ok: false, error: expect.stringMatching(/does not start with the values of its configuration group: fatal cannot be together.*runs with the values it had before/) as string });
  expect([world.isRunning, world.settings?.overrides]).toEqual([true, { dynamic: 1 }]);
  expect(await job("create_databases", { databases: [{ name: "later" }] })).toMatchObject({ ok: true });
});

test.each([
  ["a crash of the server", false],
  ["the end of server and agent together", true],
])("values that wait for a restart do not cost the database after %s", async (_, agentToo) => {
  const { world, apply, leave, start } = await prepared();
  await apply({ fatal: 1 });
  if (agentToo) await leave();
  const starts = world.starts;
  world.crash();
  if (agentToo) await start();
  await until("the server to be back", () => world.isRunning && world.starts > starts);
  expect(world.settings?.overrides).toEqual({});
});

test("an agent that adopts a running server does not take what waits for proven", async () => {
  const { world, apply, leave, start } = await prepared();
  await apply({ fatal: 1 });
  await leave();
  await start();
  await until("adoption", () => world.calls.filter((call) => call === "start").length === 2);
  world.crash();
  await until("the server to be back", () => world.starts === 2);
  expect(world.settings?.overrides).toEqual({});
});

test("a first start with such values fails with the reason", async () => {
  const made = await rig();
  await made.start();
  const id = made.plane.add("prepare", { memoryMb: 512, volumeGb: 1, cidrs: null, overrides: { fatal: 1 }, databases: [], users: [] });
  await until("the end of the job", () => made.plane.acknowledged.has(id));
  expect(made.plane.results.find((one) => one.id === id)).toMatchObject({ ok: false, error: expect.stringContaining("fatal cannot be together") as string });
});

test("a size that cannot carry the values is refused before anything is stopped", async () => {
  const { world, job } = await prepared();
  const starts = world.starts;
  expect(await job("configure", { memoryMb: 256, overrides: { invalid: 1 } })).toMatchObject({ ok: false });
  expect([world.starts, world.settings?.memoryMb]).toEqual([starts, 512]);
});
