import { fixed, HOURS, price, PRICED } from "#test/bench/cost/prices";
import { measureGuests } from "#test/bench/cost/guests";
import { measureControl, measureSweep } from "#test/bench/cost/life";
import { Meter, type Usage } from "#test/bench/cost/meter";
import { testDatabase } from "#test/support/db";
import { startTemplate } from "#test/support/global";
import { createWorld } from "#test/support/world";

const FLEETS = [10, 1_000, 10_000];
const TARGET = 0.05;
/** What an instance is believed to see in a month: so many calls of the API, a tenth of them changes; and one life is a month. */
const CALLS = 200;
const JOBS = 20;

const MINUTES = HOURS * 60;
/** Lambda's pollers of a queue: five, each with a request every 20 s. */
const POLLS = (5 * MINUTES * 60) / 20;
/** Headers of a reply through a gateway, and of a call that leaves by the NAT with its answer; bytes. */
const HEADERS = 400;
const CALL_BYTES = 6_000;

type Bill = Record<string, number>;

/** Dollars by what is paid for. */
function bill({ counts, functions }: Usage, times: number): Bill {
  const uses = Object.values(functions);
  const sum = (of: (use: (typeof uses)[number]) => number) => uses.reduce((all, use) => all + of(use), 0);
  const lines = {
    "HTTP API requests": counts.requests * price.httpRequest,
    // Connects are billed as messages here, which is on the safe side.
    "WebSocket messages": (counts.messages + counts.connects) * price.socketMessage,
    "Lambda requests": sum(({ invocations }) => invocations) * price.invocation,
    "Lambda time": sum(({ gbSeconds }) => gbSeconds) * price.gbSecond,
    "Step Functions transitions": counts.transitions * price.transition,
    SQS: counts.sqs * price.sqsRequest,
    "log ingestion": sum(({ logBytes }) => logBytes) * price.logByte,
    "bytes out": (counts.out + counts.requests * HEADERS) * price.outByte,
    "bytes through the NAT": counts.calls * CALL_BYTES * price.natByte,
  };
  return Object.fromEntries(Object.entries(lines).map(([name, value]) => [name, value * times]));
}

const add = (...bills: Bill[]): Bill =>
  bills.reduce((all, one) => {
    const names = [...new Set([...Object.keys(all), ...Object.keys(one)])];
    return Object.fromEntries(names.map((name) => [name, (all[name] ?? 0) + (one[name] ?? 0)]));
  }, {});
const total = (of: Bill) => Object.values(of).reduce((all, one) => all + one, 0);
const dollars = (value: number) => `$${value.toFixed(value < 1 ? 5 : 2)}`;

/** What a month of the control plane costs on AWS: counts of a measured run, list prices, three sizes of fleet. */
export async function benchCost(): Promise<void> {
  const { provided: cluster, stop } = await startTemplate();
  const meter = new Meter();
  const world = await createWorld({ database: () => testDatabase({ max: 4, cluster }) });
  const other = await testDatabase({ max: 4, cluster });
  try {
    const { life, call } = await measureControl(meter, world);
    const { start, job, hour } = await measureGuests(meter, other);

    console.log(`\nMeasured (functions: median ms here, real time on this machine)`);
    show("one life: create and delete", life);
    show("a guest's start", start);
    show("a job for an idle guest", job);
    show("an idle guest's hour", hour);
    show("a call of the API", call);

    const connected = { "WebSocket connection minutes": MINUTES * price.connectionMinute };
    const idle = add(bill(hour, HOURS), connected);
    const perInstance = add(idle, bill(life, 1), bill(start, 1), bill(call, CALLS), bill(job, JOBS));
    const thousand = add(bill(call, 1000), bill(job, 100));
    console.log(`\nAn instance's month at the prices of ${PRICED}: one create and delete, ${CALLS} calls of the API, ${JOBS} of them jobs; else idle`);
    for (const [name, value] of Object.entries(perInstance)) console.log(`  ${name.padEnd(32)} ${dollars(value)}   (idle ${dollars(idle[name] ?? 0)})`);
    console.log(`  ${"sum".padEnd(32)} ${dollars(total(perInstance))}   (idle ${dollars(total(idle))})`);
    console.log(`1,000 calls of the API, a tenth of them changes with their jobs: ${dollars(total(thousand))}`);

    for (const fleet of FLEETS) {
      const sweep = await measureSweep(meter, world, fleet);
      const minutely = add(bill(sweep, MINUTES), { "EventBridge schedule": MINUTES * price.schedule, "SQS polling": POLLS * price.sqsRequest });
      const [standing, own] = [fixed(fleet), total(perInstance) + total(minutely) / fleet];
      console.log(`\n${fleet.toLocaleString("en")} instances, a month (a sweep of them takes ${sweep.functions.cron.ms.toFixed(0)} ms here)`);
      console.log(`  by use ${dollars(total(perInstance) * fleet)}, by the minute ${dollars(total(minutely))}: ${dollars(own)} per instance`);
      console.log(`  standing ${dollars(total(standing))}: ${Object.entries(standing).map(([name, value]) => `${name} ${dollars(value)}`).join(", ")}`);
      const all = own + total(standing) / fleet;
      console.log(`  all ${dollars(all * fleet)}: ${dollars(all)} per instance${fleet === FLEETS.at(-1) ? `; the target of ${dollars(TARGET)} is ${all <= TARGET ? "met" : own <= TARGET ? "met without what stands, not with it" : "not met"}` : ""}`);
    }
  } finally {
    meter.restore();
    await other.close();
    await world.close();
    await stop();
  }
}

function show(what: string, { counts, functions }: Usage): void {
  const round = (value: number) => Number(value.toPrecision(3));
  const counted = Object.entries(counts).filter(([, value]) => value > 0).map(([name, value]) => `${name} ${round(value)}`);
  const ran = Object.entries(functions).filter(([, use]) => use.invocations > 0).map(([name, use]) => `${name} ${round(use.invocations)} x ${use.ms.toFixed(1)} ms, log ${round(use.logBytes)} B`);
  console.log(`  ${what}: ${[...counted, ...ran].join("; ")}`);
}
