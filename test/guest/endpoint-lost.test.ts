import { createPrivateKey, createPublicKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Agent } from "#core/guest/agent/agent";
import { MemoryEngine, World } from "#test/guest/agent-engine";
import { fastClock, scratch, until } from "#test/guest/agent-rig";
import { endpoint, publicHalf, ROTATE_AFTER_SECONDS } from "#test/guest/endpoint-rig";

/**
 * The real agent against the real endpoint on a real database, with answers that get lost: the
 * server has committed, then the connection is cut before a byte of the reply.
 */
async function rig() {
  const plane = await endpoint();
  const { id, boot } = await plane.booted();
  const machine = new World();
  const stateDirectory = await scratch();
  const clock = fastClock(10);
  const agent = await Agent.open({ boot, stateDirectory, engine: new MemoryEngine(machine), version: "test", clock });
  const lost: string[] = [];
  onTestFinished(() => agent.leave());
  return {
    ...plane,
    id,
    machine,
    clock,
    agent,
    /** The answers that were lost, by path. */
    lost,
    /** From now on loses the first `times` answers that fit. */
    lose: (times: number, fits: (path: string, body: string) => boolean) => {
      plane.line.loses = (path, body) => {
        if (lost.length >= times || !fits(path, body)) return false;
        lost.push(path);
        return true;
      };
    },
    guest: async () => {
      const [row] = await plane.world.db.owner`select token_hash, public_key, next_public_key, last_sequence, revoked_at from guest where instance_id = ${id}`;
      return row ?? {};
    },
    ended: (kind: string) => until(`${kind} to end`, async () => (await plane.jobs(id)).every((job) => job.kind !== kind || job.state !== "queued")),
    signingKey: async () => {
      const { signingKey } = JSON.parse(await readFile(join(stateDirectory, "keys.json"), "utf8")) as { signingKey: string };
      return publicHalf(createPublicKey(createPrivateKey(signingKey)));
    },
  };
}
const times = (calls: string[], name: string) => calls.filter((call) => call === name).length;

test("a lost reply to the enrolment: the guest enrols with the same key and the create ends as without it", async () => {
  const { lose, lost, agent, ended, guest, signingKey, machine, world, id } = await rig();
  lose(3, (path) => path === "/enrol");
  void agent.run();
  await ended("prepare");
  expect(lost).toEqual(["/enrol", "/enrol", "/enrol"]);
  expect(((await guest()).public_key as Buffer).toString("base64")).toBe(await signingKey());
  await world.drive();
  expect(await world.row(id)).toMatchObject({ task: "NONE", serverState: "ACTIVE", serviceStatus: "healthy", faultMessage: null });
  expect([times(machine.calls, "initialise"), times(machine.calls, "createDatabases"), times(machine.calls, "createUsers")]).toEqual([1, 1, 1]);
});

test("a lost reply that carried jobs: they come again and are done once, in order", async () => {
  const { lose, lost, agent, ended, jobs, job, machine, id } = await rig();
  void agent.run();
  await ended("prepare");
  lose(2, (path, body) => path === "/sync" && body.includes('"results":[]'));
  for (const name of ["a", "b", "c"]) await job(id, "create_databases", { databases: [{ name }] });
  await ended("create_databases");
  expect(lost).toHaveLength(2);
  expect([...machine.databases]).toEqual(["app", "a", "b", "c"]);
  expect(times(machine.calls, "createDatabases")).toBe(4);
  expect((await jobs(id)).map(({ state }) => state)).toEqual(["done", "done", "done", "done"]);
});

test("a lost acknowledgement: the result is sent again, the job is not done again, and its end stays what it was", async () => {
  const { lose, lost, agent, ended, jobs, job, machine, id, world } = await rig();
  void agent.run();
  await ended("prepare");
  lose(3, (path, body) => path === "/sync" && !body.includes('"results":[]'));
  machine.failing.add("deleteDatabase");
  await job(id, "enable_root", { verifier: "SCRAM-SHA-256$r" });
  await ended("enable_root");
  await until("three lost answers", () => lost.length === 3);
  await job(id, "delete_database", { name: "app" });
  await ended("delete_database");
  expect([times(machine.calls, "enableRoot"), times(machine.calls, "deleteDatabase")]).toEqual([1, 1]);
  expect((await jobs(id)).map(({ kind, state }) => [kind, state])).toEqual([["prepare", "done"], ["enable_root", "done"], ["delete_database", "failed"]]);
  expect(await world.row(id)).toMatchObject({ rootEnabled: true, faultMessage: expect.stringContaining("deleteDatabase failed") as string });
});

test("a lost reply to the rotation: the same key is offered again, and the guest is never locked out", async () => {
  const { lose, lost, agent, ended, guest, signingKey, job, clock, id, lines, held } = await rig();
  void agent.run();
  await ended("prepare");
  const before = await signingKey();
  lose(3, (path) => path === "/rotate");
  clock.shift((ROTATE_AFTER_SECONDS + 1) * 1000);
  await job(id, "create_databases", { databases: [{ name: "a" }] });
  await until("the rotation to end, on both sides", async () => {
    // Rotations are tried between two syncs; a held one is let go.
    void held.ring(id);
    const { public_key: known, next_public_key: next } = await guest();
    return lost.length === 3 && next === null && (known as Buffer).toString("base64") !== before;
  }, 25_000);
  expect(((await guest()).public_key as Buffer).toString("base64")).toBe(await signingKey());
  await job(id, "create_databases", { databases: [{ name: "b" }] });
  await ended("create_databases");
  expect(lines.filter((line) => line.includes("refuses this agent for good"))).toEqual([]);
});

test("with every second answer lost for a whole life, every job is done once", async () => {
  const { agent, ended, job, machine, id, line, world, jobs } = await rig();
  let count = 0;
  line.loses = () => count++ % 2 === 0;
  void agent.run();
  const names = Array.from({ length: 10 }, (_, index) => `db${index}`);
  await Promise.all(names.map((name) => job(id, "create_databases", { databases: [{ name }] })));
  await ended("create_databases");
  await ended("prepare");
  await world.drive();
  expect(count).toBeGreaterThan(4);
  expect(times(machine.calls, "createDatabases")).toBe(11);
  expect([...machine.databases].sort()).toEqual(["app", ...names]);
  expect((await jobs(id)).every(({ state }) => state === "done")).toBe(true);
  expect(await world.row(id)).toMatchObject({ task: "NONE", serviceStatus: "healthy" });
});
