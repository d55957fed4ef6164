import { rm } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { initCluster, startServer, stopServer } from "#core/engine/postgresql/cluster";
import { client, firstSql, pause } from "#test/bench/client";
import { percentile } from "#test/bench/load";
import { nativeOf, serverUser, temporary, until } from "#test/support/cluster";
import { installation } from "#test/support/service";

const CREATES = 10;

/** Create to first SQL, one after the other. */
export async function benchLife(): Promise<void> {
  const place = await installation({ COFFER_MAX_INSTANCES: "100", COFFER_MAX_VOLUMES_GB: "1000", COFFER_HTTP_RATE_PER_MINUTE: "1000000" });
  const service = await place.start();
  try {
    const api = await client(place.url, place.clouds);
    const floor = await floorOfCreate();
    await pause(6000);
    const times: number[] = [];
    for (let count = 0; count < CREATES; count++) {
      const begun = performance.now();
      const id = await api.create(`one-${count}`);
      await firstSql(api, id, 20);
      times.push(performance.now() - begun);
      await api.remove(id);
      // The next one shall find a directory in the pool, as a user's next one would.
      await pause(3500);
    }
    const p50 = percentile(times, 0.5);
    console.log("\nCreate to first SQL as the new user");
    console.log(`p50 ${p50.toFixed(0)} ms, slowest ${Math.max(...times).toFixed(0)} ms of ${CREATES}; a prepared directory by hand ${floor.toFixed(0)} ms; ratio ${(p50 / floor).toFixed(1)}`);
  } finally {
    await service.stop();
    await place.remove();
  }
}

/** What a person would do by hand on the same machine: start a prepared directory, connect, once. Milliseconds, the median of five. */
async function floorOfCreate(): Promise<number> {
  const root = await temporary("coffer-floor-");
  try {
    const native = await nativeOf("17", root);
    const times: number[] = [];
    for (let count = 0; count < 5; count++) {
      const directory = join(root, `d${count}`);
      const as = serverUser && { as: serverUser };
      await initCluster({ native, directory, superuser: "owner", password: "floor", ...as });
      const begun = performance.now();
      await startServer({ native, directory, logFile: join(root, "log"), ...as, options: { listen_addresses: "127.77.1.1", port: "5432", unix_socket_directories: "" } });
      const sql = postgres("postgres://owner:floor@127.77.1.1:5432/postgres", { max: 1, backoff: () => 0.005, connect_timeout: 1 });
      await until(() => sql`select 1`.then(() => true, () => false), "the server");
      times.push(performance.now() - begun);
      await sql.end();
      await stopServer(directory);
    }
    return percentile(times, 0.5);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
