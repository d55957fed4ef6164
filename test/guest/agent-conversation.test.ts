import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fastClock, rig, until } from "#test/guest/agent-rig";

const jobs = (world: { calls: string[] }, method: string) => world.calls.filter((call) => call === method).length;

test("a lost enrolment reply is asked for again with the very same keys, which are private and on disk first", async () => {
  const { plane, stateDirectory, start } = await rig();
  plane.lose.enrol = 3;
  const kept: string[] = [];
  const enrol = plane.enrol.bind(plane);
  plane.enrol = (body) => {
    const { signingKey } = JSON.parse(readFileSync(join(stateDirectory, "keys.json"), "utf8")) as { signingKey: string };
    kept.push(createPublicKey(signingKey).export({ type: "spki", format: "der" }).toString("base64"));
    return enrol(body);
  };
  await start();
  await until("synced", () => plane.syncs.length > 0);
  expect(plane.enrolments).toHaveLength(4);
  expect(plane.enrolments.map((one) => one.publicKey)).toEqual(kept);
  expect(new Set(plane.enrolments.map((one) => one.publicKey + one.tlsPublicKey)).size).toBe(1);
  expect((await stat(join(stateDirectory, "keys.json"))).mode & 0o777).toBe(0o600);
});

test("an agent that dies before its enrolment is answered enrols with the same keys, and once enrolled never again", async () => {
  const { plane, start, leave } = await rig();
  plane.lose.enrol = 1_000;
  await start();
  await until("asked", () => plane.enrolments.length > 0);
  await leave();
  plane.lose.enrol = 0;
  await start();
  await until("synced", () => plane.syncs.length > 0);
  expect(new Set(plane.enrolments.map((one) => one.publicKey)).size).toBe(1);
  const before = plane.enrolments.length;
  await leave();
  const seen = plane.syncs.length;
  await start();
  await until("synced again", () => plane.syncs.length > seen);
  expect(plane.enrolments).toHaveLength(before);
});

test("a refused enrolment ends the agent and touches no engine", async () => {
  const { plane, world, start } = await rig();
  plane.revoked = true;
  const { outcome } = await start();
  expect(await outcome).toBe("refused");
  expect(world.calls).toEqual([]);
});

test("a server that the boot CA does not vouch for is told nothing", async () => {
  const { plane, start, lines } = await rig();
  const other = await rig();
  plane.boot.ca = other.plane.boot.ca;
  await start();
  await until("tried", () => lines.concat(other.lines).some((line) => line.includes("enrolment failed")));
  expect(plane.enrolments).toEqual([]);
});

test("a revoked agent stops and leaves the engine as it is", async () => {
  const { plane, world, start } = await rig();
  const id = plane.prepare();
  const { outcome } = await start();
  await until("prepared", () => plane.acknowledged.has(id));
  plane.revoked = true;
  plane.cut();
  expect(await outcome).toBe("refused");
  expect(world.isRunning).toBe(true);
  expect(world.calls).not.toContain("stop");
});

test("one stray refusal does not end an agent", async () => {
  const { plane, start } = await rig();
  await start();
  await until("held", () => plane.syncs.some((sync) => sync.holdSeconds > 0));
  plane.revoked = true;
  plane.cut();
  await until("refused once", () => plane.refusals === 1);
  plane.revoked = false;
  const seen = plane.syncs.length;
  await until("synced again", () => plane.syncs.length > seen);
});

test("a rotation whose reply is lost repeats with the same key; the new key is in use afterwards, also after a restart", async () => {
  const { plane, start, leave, stateDirectory } = await rig({ speed: 50 });
  plane.lose.rotate = 2;
  plane.rotateAfterSeconds = 0;
  await start();
  const enrolled = plane.enrolments.at(0)?.publicKey;
  await until("rotated", () => plane.rotations.length === 3 && plane.nextPublicKey === undefined);
  plane.rotateAfterSeconds = 1_000_000;
  expect(new Set(plane.rotations.slice(0, 3)).size).toBe(1);
  expect(plane.publicKey).not.toBe(enrolled);
  await leave();
  expect(JSON.parse(await readFile(join(stateDirectory, "keys.json"), "utf8"))).not.toHaveProperty("nextSigningKey");
  const seen = plane.syncs.length;
  await start();
  await until("synced", () => plane.syncs.length > seen);
  expect(plane.refusals).toBe(0);
});

test("an agent that lost the note of its finished rotation finds back by its pending key", async () => {
  const { plane, start, leave, stateDirectory } = await rig();
  plane.lose.rotate = 1_000;
  plane.rotateAfterSeconds = 0;
  await start();
  await until("offered", () => plane.rotations.length > 0);
  const keys = await readFile(join(stateDirectory, "keys.json"), "utf8");
  await leave();
  // As if the new key had been used, and the disk had then gone back to before.
  plane.publicKey = plane.rotations[0] ?? "";
  plane.nextPublicKey = undefined;
  plane.rotateAfterSeconds = 1_000_000;
  await writeFile(join(stateDirectory, "keys.json"), keys);
  const seen = plane.syncs.length;
  await start();
  await until("synced", () => plane.syncs.length > seen);
});

test("a result whose acknowledgement is lost is sent again, and the job is not done again", async () => {
  const { plane, world, start } = await rig();
  await start();
  const prepared = plane.prepare();
  await until("prepared", () => plane.acknowledged.has(prepared));
  plane.silent = 2;
  const id = plane.add("create_databases", { databases: [{ name: "one" }] });
  await until("first result", () => plane.result(id) !== undefined);
  // The server offers it again, as if it had forgotten the result.
  plane.queue.push({ id, kind: "create_databases", spec: { databases: [{ name: "one" }] } });
  plane.lose.sync = 2;
  await until("acknowledged", () => plane.acknowledged.has(id));
  expect(plane.results.filter((result) => result.id === id).length).toBeGreaterThan(1);
  expect(jobs(world, "createDatabases")).toBe(2);
});

test("request numbers rise across restarts, even if the clock goes back", async () => {
  const clock = fastClock(10);
  const { plane, start, leave } = await rig({ clock });
  for (let round = 1; round <= 4; round++) {
    const seen = plane.syncs.length;
    await start();
    await until("synced", () => plane.syncs.length > seen);
    await leave();
    clock.shift(-24 * 3600_000);
  }
  expect(plane.sequences).toEqual([...plane.sequences].sort((a, b) => a - b));
  expect(new Set(plane.sequences).size).toBe(plane.sequences.length);
  expect(plane.refusals).toBe(0);
});

test("an agent with nothing to tell is held, and a waiting job comes to it at once", async () => {
  const { plane, start } = await rig({ speed: 1 });
  await start();
  await until("held", () => plane.syncs.some((sync) => sync.holdSeconds === 25));
  const seen = plane.syncs.length;
  const id = plane.prepare();
  await until("done", () => plane.acknowledged.has(id), 2_000);
  expect(plane.syncs.length - seen).toBeLessThan(10);
});

test("with the control plane away the engine is served, and the backlog is reported when it is back", async () => {
  const { plane, world, start } = await rig();
  await start();
  const id = plane.prepare();
  await until("prepared", () => plane.acknowledged.has(id));
  plane.unreachable = true;
  plane.cut();
  world.crash();
  await until("restarted alone", () => world.starts === 2);
  plane.unreachable = false;
  await until("crash told", () => plane.syncs.some((sync) => sync.report.serviceStatus === "crashed"));
  await until("health told", () => plane.syncs.at(-1)?.report.serviceStatus === "healthy");
});

test("the inventory travels with the result that changed it, and not again while it is the same", async () => {
  const { plane, start } = await rig();
  await start();
  const prepared = plane.prepare();
  await until("prepared", () => plane.acknowledged.has(prepared));
  const id = plane.add("create_databases", { databases: [{ name: "new" }] });
  await until("done", () => plane.acknowledged.has(id));
  const first = plane.syncs.findIndex((sync) => sync.results.some((result) => result.id === id));
  expect(plane.syncs[first]?.report.inventory?.databases).toContainEqual({ name: "new" });
  await until("two more", () => plane.syncs.length > first + 2);
  expect(plane.syncs.slice(first + 1).filter((sync) => sync.report.inventory)).toEqual([]);
});
