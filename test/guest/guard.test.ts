import { expect, test } from "vitest";
import { judge, pause, reserve } from "#core/guest/agent/guard";
import type { Writes } from "#core/engine/engine";
import { rig, until } from "#test/guest/agent-rig";

const MB = 1024 ** 2;
const GB = 1024 * MB;
const usage = (freeMb: number, totalGb = 1) => ({ totalBytes: totalGb * GB, usedBytes: totalGb * GB - freeMb * MB, freeBytes: freeMb * MB });

test.each([[1, 64], [2, 102.4], [10, 512], [1000, 4096]])("of %i GB some %i MB stay free", (totalGb, freeMb) => {
  expect(reserve(totalGb * GB)).toBe(freeMb * MB);
});

test.each<[number, Writes, Writes]>([
  [200, "open", "open"], [64, "open", "open"], [63, "open", "guarded"], [31, "open", "closed"],
  [127, "guarded", "guarded"], [128, "guarded", "open"], [32, "guarded", "guarded"], [31, "guarded", "closed"],
  [47, "closed", "closed"], [48, "closed", "guarded"], [127, "closed", "guarded"], [128, "closed", "open"],
])("%i MB free of 1 GB, when it is %s: %s", (free, now, next) => {
  expect(judge(usage(free), now)).toBe(next);
});

test("the nearer the next threshold, the sooner it looks again, never later than half a gigabyte a second could fill it", () => {
  expect([64, 576, 1088, 100_000].map((free) => pause(usage(free, 1), "open"))).toEqual([100, 1000, 2000, 10_000]);
  expect(pause(usage(40), "guarded")).toBe(100);
  expect(pause(usage(100_000), "guarded")).toBe(1000);
});

const prepare = { id: "11111111-1111-4111-8111-111111111111", kind: "prepare", spec: { memoryMb: 512, volumeGb: 1, cidrs: null, databases: [], users: [] } };

async function running() {
  const site = await rig({ speed: 50 });
  site.plane.queue.push(prepare);
  await site.start();
  await until("prepared", () => site.plane.results.length > 0);
  return { ...site, writes: () => site.plane.syncs.at(-1)?.report.writes };
}

test("writing ends while there is room left, is reported, and comes back by itself when there is room again", async () => {
  const { world, plane, writes } = await running();
  await until("reported open", () => writes() === "open");
  world.usage = usage(50);
  await until("guarded", () => writes() === "guarded");
  expect(world.writes).toBe("guarded");
  expect(plane.syncs.at(-1)?.report.volumeUsedBytes).toBe(GB - 50 * MB);
  world.usage = usage(20);
  await until("closed", () => writes() === "closed");
  world.usage = usage(900, 2);
  await until("open again", () => writes() === "open");
  expect(world.writes).toBe("open");
});

test("while it is closed the engine is told again and again; otherwise once", async () => {
  const { world, writes } = await running();
  const told = () => world.calls.filter((call) => call === "limitWrites").length;
  world.usage = usage(50);
  await until("guarded", () => writes() === "guarded");
  const before = told();
  world.usage = usage(20);
  await until("told thrice", () => told() >= before + 3);
});

test("an engine that does not take the limit up is told until it does, and nothing is reported before", async () => {
  const { world, plane, writes } = await running();
  await until("told once", () => world.calls.includes("limitWrites"));
  world.failing.add("limitWrites");
  world.usage = usage(50);
  await until("guarded", () => writes() === "guarded");
  expect(world.failing.size).toBe(0);
  expect(plane.syncs.every(({ report }) => report.writes !== "closed")).toBe(true);
});

test("a new agent puts in force what the volume demands, whatever the one before it left", async () => {
  const { world, leave, start, writes } = await running();
  world.usage = usage(50);
  await until("guarded", () => writes() === "guarded");
  await leave();
  world.usage = usage(900);
  await start();
  await until("open", () => world.writes === "open");
});
