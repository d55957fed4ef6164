import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { client, firstSql, pause } from "#test/bench/client";
import { percentile } from "#test/bench/load";
import { cpuSeconds, memory, processesWith, servicePid } from "#test/bench/processes";
import { until } from "#test/support/cluster";
import { installation } from "#test/support/service";

const AT_ONCE = 20;
const IDLE_SECONDS = 30;

const mb = (bytes: number) => `${(bytes / 1048576).toFixed(0)} MB`;

/** Directories that stand ready, of all versions. */
async function prepared(home: string): Promise<number> {
  const names = await readdir(join(home, "data", "pool"), { recursive: true }).catch(() => []);
  // Files of two kinds, by the form of volumes; what is still being made lies deeper.
  return names.filter((name) => /^[^/]+\/[^/]+\/(superuser|image)$/.test(name)).length;
}

/** 20 creates at once, memory, and what 20 idle instances cost the control plane. */
export async function benchBurst(): Promise<void> {
  const place = await installation({ COFFER_POOL: String(AT_ONCE), COFFER_MAX_INSTANCES: "100", COFFER_MAX_VOLUMES_GB: "1000", COFFER_HTTP_RATE_PER_MINUTE: "1000000" });
  const service = await place.start();
  try {
    const api = await client(place.url, place.clouds);
    const pid = await servicePid(service.pid);
    // As it is some time after the start: the pool is full.
    await until(async () => (await prepared(place.home)) >= AT_ONCE, "the pool to fill", 120_000);
    const rest = await memory(pid);

    const begun = performance.now();
    const all = await Promise.all(
      Array.from({ length: AT_ONCE }, async (_, at) => {
        const id = await api.create(`many-${at}`);
        await firstSql(api, id, 200);
        return performance.now() - begun;
      }),
    );
    console.log(`\n${AT_ONCE} creates at once: all ACTIVE, first ${(Math.min(...all) / 1000).toFixed(1)} s, last ${(Math.max(...all) / 1000).toFixed(1)} s`);
    const agents = await processesWith(join(place.home, "build"), "agent.mjs");
    const agentCpu = await Promise.all(agents.map(cpuSeconds));
    console.log(`CPU until then: service ${(await cpuSeconds(pid)).toFixed(1)} s, an agent ${percentile(agentCpu, 0.5).toFixed(2)} s`);

    await pause(5000);
    const before = await cpuSeconds(pid);
    await pause(IDLE_SECONDS * 1000);
    const share = ((await cpuSeconds(pid)) - before) / IDLE_SECONDS;
    console.log(`\nIdle with ${AT_ONCE} instances: the service uses ${(share * 100).toFixed(2)} % of a core`);
    const agentMemory = await Promise.all(agents.map(memory));
    console.log(`Memory (PSS): service at rest ${mb(rest)}, with ${AT_ONCE} instances ${mb(await memory(pid))}; an agent ${mb(percentile(agentMemory, 0.5))}`);
  } finally {
    await service.stop();
    await place.remove();
  }
}
