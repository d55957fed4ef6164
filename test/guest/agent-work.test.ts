import { mkdir, readFile, rm } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Diagnostics, Hardware } from "#core/guest/protocol";
import { rig, until } from "#test/guest/agent-rig";

/** A rig whose agent has done its first job. */
async function prepared() {
  const made = await rig();
  await made.start();
  const id = made.plane.prepare();
  await until("prepared", () => made.plane.acknowledged.has(id));
  return made;
}

/** What the engine was asked for, without the guard, which comes when it has looked at the volume. */
const work = (world: { calls: string[] }) => world.calls.filter((call) => call !== "limitWrites");

test("the first job sets everything up, and its result comes with a healthy status", async () => {
  const { plane, world } = await prepared();
  expect(work(world)).toEqual(["initialise", "start", "applyTls", "createDatabases", "createUsers"]);
  expect(world.certificate).toContain("BEGIN CERTIFICATE");
  expect(world.settings).toEqual({ memoryMb: 512, volumeGb: 1, cidrs: null, tlsMode: "builtin" });
  expect(plane.syncs.find((sync) => sync.results.length > 0)?.report).toMatchObject({ serviceStatus: "healthy", engineVersion: "1.0", agentVersion: "test" });
  expect(plane.syncs[0]?.report.serviceStatus).toBe("building");
});

test("ten jobs given at once are all done, each once, in order", async () => {
  const { plane, world } = await prepared();
  const ids = Array.from({ length: 10 }, (_, n) => plane.add("create_users", { users: [{ name: `u${n}`, verifier: `v${n}`, databases: [] }] }));
  await until("all done", () => ids.every((id) => plane.acknowledged.has(id)));
  const order = plane.results.map(({ id }) => id).filter((id, n, all) => all.indexOf(id) === n && ids.includes(id));
  expect(order).toEqual(ids);
  expect([...world.users.keys()]).toEqual(["ann", ...ids.map((_, n) => `u${n}`)]);
  expect(world.calls.filter((call) => call === "createUsers")).toHaveLength(11);
});

test("a stop takes the server down and it stays down, for the next agent too, until a restart", async () => {
  const made = await prepared();
  const { plane, world } = made;
  const stop = plane.add("stop", {});
  await until("stopped", () => plane.acknowledged.has(stop));
  expect(plane.syncs.at(-1)?.report.serviceStatus).toBe("shutdown");
  await made.leave();
  const begun = world.calls.filter((call) => call === "start").length;
  await made.start();
  const ping = plane.add("ping", {});
  await until("answered", () => plane.acknowledged.has(ping));
  expect(plane.syncs.at(-1)?.report.serviceStatus).toBe("shutdown");
  expect(world.calls.filter((call) => call === "start")).toHaveLength(begun);
  const restart = plane.add("restart", {});
  await until("up again", () => plane.acknowledged.has(restart));
  expect(plane.results.find(({ id }) => id === restart)).toMatchObject({ ok: true });
  await made.leave();
  await made.start();
  await until("healthy", () => plane.syncs.at(-1)?.report.serviceStatus === "healthy");
});

test("what is asked is answered from /proc, also before there is a database", async () => {
  const { plane, start } = await rig();
  await start();
  const [process, machine] = [plane.add("diagnostics", {}), plane.add("hwinfo", {})];
  await until("answered", () => plane.acknowledged.has(machine));
  const answer = (id: string) => plane.results.find((one) => one.id === id)?.result;
  const { vmRss, vmHwm, threads } = Diagnostics.parse(answer(process));
  expect(Diagnostics.parse(answer(process)).version).toBe("test");
  expect(vmRss).toBeGreaterThan(1000);
  expect(vmHwm).toBeGreaterThanOrEqual(vmRss / 2);
  expect(threads).toBeGreaterThan(1);
  expect(Hardware.parse(answer(machine))).toEqual({ memTotal: Math.round(totalmem() / 1024), cpus: cpus().length });
});

test("every kind of job reaches the engine", async () => {
  const { plane, world } = await prepared();
  const ids = [
    plane.add("create_databases", { databases: [{ name: "two" }, { name: "three" }] }),
    plane.add("delete_database", { name: "three" }),
    plane.add("create_users", { users: [{ name: "bob", verifier: "v", databases: [] }, { name: "eve", verifier: "v" }] }),
    plane.add("change_passwords", { users: [{ name: "bob", verifier: "w" }] }),
    plane.add("update_user", { name: "bob", newName: "rob" }),
    plane.add("grant", { name: "rob", databases: ["two", "app"] }),
    plane.add("revoke", { name: "rob", database: "app" }),
    plane.add("delete_user", { name: "eve" }),
    plane.add("enable_root", { verifier: "r1" }),
    plane.add("disable_root", { verifier: "r2" }),
    plane.add("access", { cidrs: ["10.0.0.0/8"] }),
    plane.add("grow_volume", { volumeGb: 3 }),
    plane.add("configure", { memoryMb: 1024 }),
    plane.add("restart", {}),
  ];
  await until("all done", () => ids.every((id) => plane.acknowledged.has(id)));
  expect(plane.results.filter((result) => !result.ok)).toEqual([]);
  expect([...world.databases]).toEqual(["app", "two"]);
  expect(world.users.get("rob")).toEqual({ verifier: "w", databases: ["two"] });
  expect(world.users.get("root")?.verifier).toBe("r2");
  expect(world.users.has("eve")).toBe(false);
  expect(world.settings).toEqual({ memoryMb: 1024, volumeGb: 3, cidrs: ["10.0.0.0/8"] });
  expect(world.starts).toBe(3);
  expect(plane.syncs.some((sync) => sync.report.serviceStatus === "crashed")).toBe(false);
});

test("an unknown and a malformed job fail with a reason, and the jobs behind them are done", async () => {
  const { plane } = await prepared();
  const unknown = plane.add("defragment", {});
  const malformed = plane.add("grow_volume", { volumeGb: "big" });
  const good = plane.add("grow_volume", { volumeGb: 2 });
  await until("all done", () => [unknown, malformed, good].every((id) => plane.acknowledged.has(id)));
  expect(plane.result(unknown)).toMatchObject({ ok: false, error: expect.stringContaining("defragment") as string });
  expect(plane.result(malformed)).toMatchObject({ ok: false, error: expect.stringContaining("volumeGb") as string });
  expect(plane.result(good)?.ok).toBe(true);
});

test("verifiers are neither in an error, nor in the log, nor on disk once the job has ended", async () => {
  const { plane, stateDirectory, lines } = await prepared();
  const verifier = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy";
  const secret = "plain-looking-verifier";
  plane.silent = 1_000;
  const ids = [verifier, secret].map((one) => plane.add("create_users", { users: [{ name: "bad", verifier: one, databases: [] }] }));
  await until("failed", () => ids.every((id) => plane.result(id) !== undefined));
  for (const id of ids) expect(plane.result(id)).toMatchObject({ ok: false, error: "syntax error near '***'" });
  const disk = await readFile(join(stateDirectory, "journal.json"), "utf8");
  for (const text of [disk, lines.join("\n")]) for (const one of [verifier, secret, plane.boot.token, "PRIVATE KEY"]) expect(text).not.toContain(one);
});

test("a crash is reported at once and the server brought back with back-off", async () => {
  const { plane, world } = await prepared();
  await until("held", () => (plane.syncs.at(-1)?.holdSeconds ?? 0) > 0);
  const seen = plane.syncs.length;
  world.failingStarts = 3;
  world.crash();
  await until("crash told", () => plane.syncs.length > seen);
  expect(plane.syncs[seen]?.report.serviceStatus).toBe("crashed");
  await until("back", () => plane.syncs.at(-1)?.report.serviceStatus === "healthy");
  expect(world.isRunning).toBe(true);
  expect(world.calls.filter((call) => call === "start")).toHaveLength(5);
});

test("a job that meets a crashed server waits for it and is done", async () => {
  const { plane, world } = await prepared();
  const open = world.block("start");
  world.crash();
  await until("crash told", () => plane.syncs.at(-1)?.report.serviceStatus === "crashed");
  const id = plane.add("create_databases", { databases: [{ name: "late" }] });
  await until("taken", () => plane.syncs.at(-1)?.holdSeconds === 0);
  open();
  await until("done", () => plane.acknowledged.has(id));
  expect(plane.result(id)?.ok).toBe(true);
});

test("a crash in the middle of a job is waited out and the job done again", async () => {
  const { plane, world } = await prepared();
  const open = world.block("createDatabases");
  const before = world.calls.length;
  const id = plane.add("create_databases", { databases: [{ name: "late" }] });
  await until("begun", () => world.calls.slice(before).includes("createDatabases"));
  const hold = world.block("start");
  world.crash();
  open();
  await until("found down", () => world.calls.slice(before).includes("start"));
  hold();
  await until("done", () => plane.acknowledged.has(id));
  expect(plane.result(id)).toEqual({ id, ok: true });
  expect(world.databases.has("late")).toBe(true);
});

test("a server that does not come up fails the job that asked for it, and is brought up all the same", async () => {
  const { plane, world } = await prepared();
  world.failingStarts = 3;
  const id = plane.add("restart", {});
  await until("told", () => plane.acknowledged.has(id));
  expect(plane.result(id)).toMatchObject({ ok: false, error: "could not bind" });
  await until("back", () => world.isRunning && plane.syncs.at(-1)?.report.serviceStatus === "healthy");
});

test("a first job that cannot initialise is reported as failed, and can be done again", async () => {
  const { plane, world, start } = await rig();
  await start();
  world.failing.add("initialise");
  const first = plane.prepare();
  await until("failed", () => plane.acknowledged.has(first));
  expect(plane.result(first)).toEqual({ id: first, ok: false, error: "initialise failed" });
  expect(plane.syncs.at(-1)?.report.serviceStatus).toBe("failed");
  const second = plane.prepare();
  await until("done", () => plane.acknowledged.has(second));
  expect(plane.result(second)?.ok).toBe(true);
});

test("a job for a server that was never set up is refused and leaves the status as it is", async () => {
  const { plane, start } = await rig();
  await start();
  const ids = [plane.add("restart", {}), plane.add("delete_user", { name: "ann" })];
  await until("refused", () => ids.every((id) => plane.acknowledged.has(id)));
  for (const id of ids) expect(plane.result(id)).toMatchObject({ ok: false, error: "The database server has not been set up" });
  expect(new Set(plane.syncs.map((sync) => sync.report.serviceStatus))).toEqual(new Set(["building"]));
});

test("a disk that refuses the journal fails the jobs of that time, not the agent", async () => {
  const { plane, world, stateDirectory } = await prepared();
  await until("at rest", () => (plane.syncs.at(-1)?.holdSeconds ?? 0) > 0);
  const obstacle = join(stateDirectory, "journal.json.new");
  await mkdir(obstacle);
  const before = work(world).length;
  const id = plane.add("create_databases", { databases: [{ name: "never" }] });
  await until("told", () => plane.acknowledged.has(id));
  expect(plane.result(id)).toMatchObject({ ok: false, error: "The agent cannot write journal.json (EISDIR)" });
  expect(work(world).slice(before)).toEqual([]);
  await rm(obstacle, { recursive: true });
  const next = plane.add("create_databases", { databases: [{ name: "then" }] });
  await until("done", () => plane.acknowledged.has(next));
  expect(plane.result(next)?.ok).toBe(true);
});

test("a stop ends the engine in order and says so; the next agent brings it up with the settings it had", async () => {
  const { plane, world, start, stop } = await prepared();
  const grown = plane.add("configure", { memoryMb: 2048 });
  await until("grown", () => plane.acknowledged.has(grown));
  await stop();
  expect(world.isRunning).toBe(false);
  expect(plane.syncs.at(-1)?.report.serviceStatus).toBe("shutdown");
  world.settings = undefined;
  const seen = plane.syncs.length;
  await start();
  await until("healthy", () => plane.syncs.slice(seen).some((sync) => sync.report.serviceStatus === "healthy"));
  expect(world.settings).toEqual({ memoryMb: 2048, volumeGb: 1, cidrs: null, tlsMode: "builtin" });
  expect(plane.syncs[seen]?.report.serviceStatus).toBe("healthy");
});

test("a job that a stop takes the server from is not failed but done by the next agent", async () => {
  const { plane, world, start, stop } = await prepared();
  const open = world.block("createDatabases");
  const before = world.calls.length;
  const id = plane.add("create_databases", { databases: [{ name: "late" }] });
  await until("begun", () => world.calls.slice(before).includes("createDatabases"));
  const stopped = stop();
  await until("stopping", () => world.calls.includes("stop"));
  open();
  await stopped;
  expect(plane.result(id)).toBeUndefined();
  await start();
  await until("done", () => plane.acknowledged.has(id));
  expect(plane.result(id)?.ok).toBe(true);
});

test("an agent that leaves keeps the engine running, and the next one adopts it without a restart", async () => {
  const { plane, world, start, leave } = await prepared();
  await leave();
  expect(world.isRunning).toBe(true);
  const seen = plane.syncs.length;
  await start();
  await until("healthy", () => plane.syncs.length > seen);
  expect(plane.syncs[seen]?.report.serviceStatus).toBe("healthy");
  expect(world.starts).toBe(1);
  expect(world.calls).not.toContain("stop");
});

test("a second agent on the same directory is refused", async () => {
  const { open, start, leave } = await rig();
  await start();
  await expect(open()).rejects.toMatchObject({ reason: "locked" });
  await leave();
  await start();
});

test("jobs of an older generation are dropped and its keys are not used", async () => {
  const { plane, start, leave, world } = await prepared();
  plane.silent = 1_000;
  const id = plane.add("create_databases", { databases: [{ name: "old" }] });
  await until("reported", () => plane.result(id) !== undefined);
  await leave();
  plane.boot.generation = 2;
  const [seen, key] = [plane.syncs.length, plane.publicKey];
  await start();
  await until("synced", () => plane.syncs.length > seen);
  expect(plane.publicKey).not.toBe(key);
  expect(plane.syncs.slice(seen).flatMap((sync) => sync.results)).toEqual([]);
  expect(world.isRunning).toBe(true);
});
