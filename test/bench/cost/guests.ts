import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, type Clock } from "#core/clock";
import type { Boot, JobKind, JobSpec } from "#core/guest/protocol";
import { doorbellRig } from "#test/guest/doorbell-rig";
import type { testDatabase } from "#test/support/db";
import { until } from "#test/support/cluster";
import type { Meter, Usage } from "#test/bench/cost/meter";

const GUESTS = 4;
/** How much faster than real the guests' time passes. */
const SPEED = 240;
const IDLE_HOURS = 2;
/** As `functions/aws/environment.ts` has them by default. */
const pace = { poll: 15, ping: 480, connectedPoll: 1800 };

export interface GuestUsage {
  /** From the first request until it can be rung, its database prepared. */
  start: Usage;
  /** One job for an idle guest. */
  job: Usage;
  /** An hour of idleness. */
  hour: Usage;
}

/** The same paces with time that passes faster. */
function fast(): Clock {
  const began = Date.now();
  return { now: () => new Date(began + (Date.now() - began) * SPEED), sleep: (ms, signal) => systemClock.sleep(ms / SPEED, signal) };
}

/** Real agents on real sockets, and where they keep what they know. */
async function fleet(meter: Meter, db: Awaited<ReturnType<typeof testDatabase>>, clock: Clock) {
  const rig = await doorbellRig({
    db,
    clock,
    pace,
    around: (name, work) => meter.call(name, work),
    answered: (bytes) => {
      meter.count("requests");
      meter.count("out", bytes);
    },
  });
  const root = await mkdtemp(join(tmpdir(), "coffer-cost-"));
  const boots: Boot[] = [];
  let before = { ...rig.sockets.counts };
  return {
    rig,
    boots,
    async start() {
      for (let count = 0; count < GUESTS; count++) {
        const boot = await rig.instance();
        boots.push(boot);
        await rig.agent(boot, join(root, boot.instanceId));
        await done(boot, "prepare", { memoryMb: 512, volumeGb: 1, cidrs: null, databases: [], users: [] });
      }
      const slow = () => db.owner`select 1 from instance where silence_seconds = ${pace.ping} and id in ${db.owner(boots.map(({ instanceId }) => instanceId))}`;
      await until(async () => (await slow()).length === GUESTS, "all guests to be connected", 60_000);
    },
    done,
    take(units: number): Usage {
      const { messages, posts, connects } = rig.sockets.counts;
      meter.count("messages", messages - before.messages + posts - before.posts);
      meter.count("connects", connects - before.connects);
      before = { ...rig.sockets.counts };
      return meter.take(units);
    },
    async stop() {
      await rig.stop();
      await rm(root, { recursive: true, force: true });
    },
  };

  async function done<K extends JobKind>(boot: Boot, kind: K, spec: JobSpec<K>) {
    const id = await rig.job(boot, kind, spec);
    await until(() => rig.done(id), `${kind} to be done`, 60_000);
  }
}

/** What guests cost: at work in real time, idle in a faster one. */
export async function measureGuests(meter: Meter, db: Awaited<ReturnType<typeof testDatabase>>): Promise<GuestUsage> {
  const busy = await fleet(meter, db, systemClock);
  let start: Usage;
  let job: Usage;
  try {
    await busy.start();
    start = busy.take(GUESTS);
    for (const boot of busy.boots) await busy.done(boot, "create_databases", { databases: [{ name: "one" }] });
    job = busy.take(GUESTS);
  } finally {
    await busy.stop();
  }

  const clock = fast();
  const idle = await fleet(meter, db, clock);
  const { sockets } = idle.rig;
  try {
    await idle.start();
    idle.take(1);
    const [begun, connects] = [clock.now().getTime(), sockets.counts.connects];
    await clock.sleep(IDLE_HOURS * 3_600_000);
    // The gateway's own end of a connection, and what it takes to have it back.
    sockets.cut();
    await until(() => sockets.counts.connects >= connects + GUESTS && sockets.open().length === GUESTS, "all connections to be back", 60_000);
    const hours = (clock.now().getTime() - begun) / 3_600_000;
    return { start, job, hour: idle.take(GUESTS * hours) };
  } finally {
    await idle.stop();
  }
}
