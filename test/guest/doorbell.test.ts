import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { setSink } from "#core/log";
import { fastClock, scratch, until } from "#test/guest/agent-rig";
import { doorbellRig, type RigOptions } from "#test/guest/doorbell-rig";
import { testDatabase } from "#test/support/db";

/** A real agent, the functions behind the guest endpoint and the doorbell, and a WebSocket gateway between them. */
let db: Awaited<ReturnType<typeof testDatabase>>;
const lines: string[] = [];
const previous = setSink((line) => lines.push(JSON.stringify(line)));
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(async () => {
  setSink(previous);
  await db.close();
});

const prepare = { memoryMb: 512, volumeGb: 1, cidrs: null, databases: [], users: [] };

async function started(options: Partial<RigOptions> = {}) {
  // First, as what a test begins last is ended first.
  const directory = await scratch();
  const rig = await doorbellRig({ db, ...options });
  onTestFinished(() => rig.stop());
  const boot = await rig.instance();
  const agent = await rig.agent(boot, directory);
  return { ...rig, agent, boot };
}

/** As started, and with nothing more to say. */
async function idle(options: Partial<RigOptions> = {}) {
  const rig = await started(options);
  const id = await rig.job(rig.boot, "prepare", prepare);
  await until("prepared", () => rig.done(id));
  await until("connected", async () => (await rig.row(rig.boot)) !== undefined);
  await until("told its pace", async () => (await told(rig.boot.instanceId)).silence === (options.pace?.ping ?? 3600));
  return rig;
}

async function told(instanceId: string) {
  const [row] = await db.owner<{ status: string; at: Date; silence: number }[]>`
    select service_status as status, service_status_at as at, silence_seconds as silence from instance where id = ${instanceId}`;
  if (!row) throw new Error("no instance");
  return row;
}

test("a job for an idle guest starts without waiting for the poll", async () => {
  // An hour apart, so that no poll of this test's time can be what brings the job.
  const rig = await idle({ pace: { poll: 3600, ping: 3600, connectedPoll: 3600 } });
  for (const name of ["one", "two"]) {
    const id = await rig.job(rig.boot, "create_databases", { databases: [{ name }] });
    await until(`database ${name}`, () => rig.done(id));
  }
});

test("a ring that is lost costs no job: the next ping finds it waiting", async () => {
  const rig = await idle({ clock: fastClock(60), pace: { poll: 7200, ping: 120, connectedPoll: 7200 } });
  rig.sockets.deafen(true);
  const id = await rig.job(rig.boot, "create_databases", { databases: [{ name: "late" }] });
  rig.sockets.deafen(false);
  await until("done", () => rig.done(id));
});

test("a ring and a ping that are lost cost no job: the next poll takes it", async () => {
  const rig = await idle({ clock: fastClock(60), pace: { poll: 120, ping: 7200, connectedPoll: 120 } });
  rig.sockets.deafen(true);
  const id = await rig.job(rig.boot, "create_databases", { databases: [{ name: "later" }] });
  await until("done", () => rig.done(id));
});

test("an idle guest pings at the pace it was given, which keeps its last report fresh, and asks for nothing", async () => {
  const rig = await idle({ clock: fastClock(60), pace: { poll: 15, ping: 60, connectedPoll: 36_000 } });
  await until("one ping", () => rig.sockets.counts.messages > 0);
  const [before, syncs, pings] = [await told(rig.boot.instanceId), rig.syncs(), rig.sockets.counts.messages];
  await until("three pings", () => rig.sockets.counts.messages >= pings + 3);
  await until("fresh", async () => (await told(rig.boot.instanceId)).at.getTime() - before.at.getTime() > 60_000);
  expect((await told(rig.boot.instanceId)).status).toBe("healthy");
  expect(rig.syncs()).toBe(syncs);
});

test("a connection that ends is opened again, and a job accepted meanwhile is done", async () => {
  const rig = await idle({ clock: fastClock(10) });
  rig.sockets.cut();
  await until("gone", async () => (await rig.row(rig.boot)) === undefined);
  const id = await rig.job(rig.boot, "create_databases", { databases: [{ name: "meanwhile" }] });
  await until("done", () => rig.done(id));
  await until("open again", async () => (await rig.row(rig.boot)) !== undefined);
});

test("a connection that the server has lost sight of is replaced", async () => {
  const rig = await idle({ clock: fastClock(60), pace: { poll: 60, ping: 7200, connectedPoll: 60 } });
  const [first] = rig.sockets.open();
  await db.owner`delete from guest_doorbell where instance_id = ${rig.boot.instanceId}`;
  await until("another one", async () => ![undefined, first].includes((await rig.row(rig.boot))?.connectionId));
  expect(rig.sockets.open()).not.toContain(first);
});

test("without a doorbell that answers, the guest does its jobs at the pace it was given", async () => {
  const directory = await scratch();
  const rig = await doorbellRig({ db, clock: fastClock(60), pace: { poll: 30, ping: 7200, connectedPoll: 7200 } });
  onTestFinished(() => rig.stop());
  await rig.sockets.stop();
  const boot = await rig.instance();
  await rig.agent(boot, directory);
  const id = await rig.job(boot, "prepare", prepare);
  await until("prepared", () => rig.done(id));
  const next = await rig.job(boot, "create_databases", { databases: [{ name: "slow" }] });
  await until("done", () => rig.done(next));
  expect(lines.some((line) => line.includes("the doorbell failed"))).toBe(true);
});

test("an endpoint that offers no doorbell is asked for none", async () => {
  const rig = await started({ offered: false, clock: fastClock(60), pace: { poll: 30, ping: 60, connectedPoll: 60 } });
  const id = await rig.job(rig.boot, "prepare", prepare);
  await until("prepared", () => rig.done(id));
  expect(rig.sockets.counts.connects).toBe(0);
});

test("an agent that leaves closes its connection, and is rung no more", async () => {
  const rig = await idle();
  await rig.agent.leave();
  await until("closed", async () => (await rig.row(rig.boot)) === undefined);
  expect(rig.sockets.open()).toEqual([]);
});
