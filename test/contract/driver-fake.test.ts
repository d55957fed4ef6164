import { expect, test } from "vitest";
import type { Clock } from "#core/clock";
import { createFakeCloud, type FakeCloud } from "#core/driver/index";
import { ensure, removeAll } from "#core/driver/ensure";
import { build, call } from "#test/support/local-cloud";

/** Time passes when somebody sleeps, and only then. */
function sleepingClock(): Clock {
  let now = Date.UTC(2026, 0, 1);
  return {
    now: () => new Date(now),
    sleep: async (ms, signal) => {
      if (!signal?.aborted) now += ms;
    },
  };
}

/** mulberry32 */
function seeded(seed: number) {
  let state = seed;
  const number = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  let ids = 0;
  return { number, uuid: () => `00000000-0000-4000-8000-${String((ids += 1)).padStart(12, "0")}` };
}

const options = (seed = 1) => ({ random: seeded(seed), clock: sleepingClock(), latencyMs: 10 });
const spec = { name: "v", sizeGb: 1 };
const names = (cloud: FakeCloud) => cloud.all().volumes.map(({ name }) => name);

test("names repeat: two creates make two, found oldest first", async () => {
  const cloud = createFakeCloud(options());
  const first = await cloud.volumes.create(spec, call());
  const second = await cloud.volumes.create(spec, call());
  expect((await cloud.volumes.find("v", call())).map(({ id }) => id)).toEqual([first.id, second.id]);
});

test("ensure keeps the oldest of several, or the one that is known", async () => {
  const cloud = createFakeCloud(options());
  const made = [];
  for (let n = 0; n < 3; n++) made.push(await cloud.volumes.create(spec, call()));
  expect((await ensure(cloud.volumes, spec, call(), made[1]?.id)).id).toBe(made[1]?.id);
  expect(cloud.all().volumes.map(({ id }) => id)).toEqual([made[1]?.id]);
  await cloud.volumes.create(spec, call());
  expect((await ensure(cloud.volumes, spec, call())).id).toBe(made[1]?.id);
  expect(names(cloud)).toEqual(["v"]);
});

test("a create that succeeded after all is adopted by the next ensure", async () => {
  const cloud = createFakeCloud(options());
  cloud.inject({ on: "volume.create", kind: "after" });
  await expect(ensure(cloud.volumes, spec, call())).rejects.toMatchObject({ reason: "driver.failed" });
  const [landed] = cloud.all().volumes;
  expect((await ensure(cloud.volumes, spec, call())).id).toBe(landed?.id);
  expect(names(cloud)).toEqual(["v"]);
});

test("a failure before the effect, and a refusal, have none", async () => {
  const cloud = createFakeCloud(options());
  cloud.inject({ on: "volume.create", kind: "before" });
  await expect(cloud.volumes.create(spec, call())).rejects.toMatchObject({ reason: "driver.failed" });
  cloud.inject({ on: "volume.create", kind: "throttle" });
  await expect(cloud.volumes.create(spec, call())).rejects.toMatchObject({ reason: "driver.throttled" });
  expect(names(cloud)).toEqual([]);
});

test("a time-out may land later, and ensure brings two down to one", async () => {
  let land: (() => void) | undefined;
  const clock: Clock = { ...sleepingClock(), sleep: (ms) => (ms === 60_000 ? new Promise((resolve) => (land = resolve)) : Promise.resolve()) };
  const cloud = createFakeCloud({ ...options(), clock });
  cloud.inject({ on: "volume.create", kind: "late", ms: 60_000 });
  const caller = new AbortController();
  const given = cloud.volumes.create(spec, { signal: caller.signal });
  await expect.poll(() => land).toBeDefined();
  caller.abort();
  await expect(given).rejects.toMatchObject({ reason: "driver.timeout" });
  await ensure(cloud.volumes, spec, call());
  expect(names(cloud)).toEqual(["v"]);
  land?.();
  await expect.poll(() => names(cloud)).toEqual(["v", "v"]);
  await ensure(cloud.volumes, spec, call());
  expect(names(cloud)).toEqual(["v"]);
});

test("a list may show the past; a removal is believed only when a look finds nothing", async () => {
  const cloud = createFakeCloud({ ...options(), clock: sleepingClock() });
  const { id } = await cloud.volumes.create(spec, call());
  cloud.inject({ on: "volume.find", kind: "stale", ms: 3_600_000 });
  expect(await cloud.volumes.find("v", call())).toEqual([]);
  expect((await cloud.volumes.get(id, call()))?.id).toBe(id);
  await cloud.volumes.remove(id, call());
  cloud.inject({ on: "volume.find", kind: "stale", ms: 20, times: 2 });
  expect(await removeAll(cloud.volumes, "v", call())).toBe(true);
});

test("a server whose boot fails ends in ERROR with a reason", async () => {
  const cloud = createFakeCloud(options());
  cloud.inject({ on: "server.boot", kind: "before" });
  const { server } = await build(cloud, "a");
  await expect.poll(async () => (await cloud.compute.get(server.id, call()))?.state).toBe("ERROR");
  expect((await cloud.compute.get(server.id, call()))?.fault).toBe("No valid host was found.");
});

test("a guest is attached when its server is ACTIVE, told of reboots, and stopped with it", async () => {
  const events: string[] = [];
  const cloud = createFakeCloud({
    ...options(),
    activeAfterMs: 1_000,
    onServer: (created) => {
      events.push(`start ${created.name}`);
      return { reboot: () => events.push("reboot"), stop: () => events.push("stop") };
    },
  });
  const { server } = await build(cloud, "a");
  await expect.poll(() => events).toEqual(["start a-server"]);
  await cloud.compute.reboot(server.id, call());
  await cloud.compute.remove(server.id, call());
  expect(events).toEqual(["start a-server", "reboot", "stop"]);
});

test("the same seed gives the same course", async () => {
  const course = async (seed: number) => {
    const cloud = createFakeCloud(options(seed));
    cloud.inject({ on: "volume.create", kind: "after", times: 1000, probability: 0.5 });
    const outcomes: boolean[] = [];
    for (let n = 0; n < 40; n++) outcomes.push(await cloud.volumes.create(spec, call()).then(() => true, () => false));
    return outcomes;
  };
  expect(await course(7)).toEqual(await course(7));
  expect(await course(7)).not.toEqual(await course(8));
});
