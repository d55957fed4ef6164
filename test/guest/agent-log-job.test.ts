import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { rig, scratch, until } from "#test/guest/agent-rig";

/** An agent with a server that writes a log of 20 pieces. */
async function logging() {
  const at = await rig();
  const path = join(await scratch(), "a.log");
  const line = `${"x".repeat(99)}\n`;
  await writeFile(path, line.repeat(200_000));
  at.world.logs = [{ name: "general", type: "USER", path, previous: `${path}.1` }];
  await at.start();
  at.plane.prepare();
  const done = async (wish: Record<string, unknown>) => {
    const id = at.plane.add("log", { name: "general", publish: false, discard: false, to: { projectId: "p", prefix: "i/m-general/" }, ...wish });
    await until("the job to end", () => at.plane.result(id) !== undefined);
    return at.plane.result(id);
  };
  return { ...at, path, line, done };
}

test("what is published arrives whole, while reports go on in between, and nobody is refused for the order of numbers", async () => {
  const { plane, line, done } = await logging();
  const result = await done({ publish: true });
  expect(result).toMatchObject({ ok: true, result: { log: { name: "general", published: 20_000_000, pending: 0 } } });
  const parts = [...plane.uploads].filter(([name]) => name.includes("/log-"));
  expect(parts.length).toBeGreaterThanOrEqual(20);
  expect(parts.map(([, text]) => text).join("") === line.repeat(200_000)).toBe(true);
  expect([...plane.sequences].sort((a, b) => a - b)).toEqual(plane.sequences);
  expect(plane.refusals).toBe(0);
  await until("the report", () => plane.syncs.at(-1)?.report.logs?.[0]?.published === 20_000_000);
});

test("turned on, a log stays on for restarts and for the next agent; a repetition changes nothing", async () => {
  const { world, done, leave, start, plane } = await logging();
  await done({ enable: true });
  expect(world.settings).toMatchObject({ logs: ["general"] });
  await done({ enable: true });
  expect(world.calls.filter((call) => call === "applyLogs")).toHaveLength(1);
  const restarted = plane.add("restart", {});
  await until("the restart", () => plane.result(restarted) !== undefined);
  expect(world.settings).toMatchObject({ logs: ["general"] });
  await leave();
  world.crash();
  world.settings = undefined;
  await start();
  await until("the next agent", () => world.settings !== undefined);
  expect(world.settings).toMatchObject({ logs: ["general"] });
  expect(await done({ enable: false })).toMatchObject({ ok: true, result: { log: { enabled: false } } });
  expect(world.settings).toMatchObject({ logs: [] });
});

test("a log that is unknown, and a server that does not take it, fail with a reason; discarding asks the control plane", async () => {
  const { plane, world, done } = await logging();
  expect(await done({ name: "slow" })).toMatchObject({ ok: false, error: expect.stringContaining('no log "slow"') as string });
  world.failing.add("applyLogs");
  expect(await done({ enable: true })).toMatchObject({ ok: false, error: expect.stringContaining("applyLogs failed") as string });
  expect(await done({})).toMatchObject({ ok: true, result: { log: { enabled: false } } });
  await done({ publish: true, discard: true });
  const names = [...plane.uploads.keys()].map((name) => name.split("/")[1]?.slice(0, 4));
  expect([names[0], names.at(-1)]).toEqual(["disc", "meta"]);
});

test("an agent that is stopped in the middle stops, and the next one publishes the rest", async () => {
  const { plane, done, leave, start, line } = await logging();
  const id = plane.add("log", { name: "general", publish: true, discard: false, to: { projectId: "p", prefix: "i/m-general/" } });
  await until("some of it", () => plane.uploads.size > 3);
  await leave();
  await start();
  await until("the job to end", () => plane.result(id) !== undefined);
  expect(plane.result(id)).toMatchObject({ ok: true, result: { log: { published: 20_000_000 } } });
  const text = [...plane.uploads].filter(([name]) => name.includes("/log-")).sort(([a], [b]) => (a < b ? -1 : 1)).map(([, part]) => part).join("");
  expect(text === line.repeat(200_000)).toBe(true);
  expect(await done({})).toMatchObject({ ok: true });
});
