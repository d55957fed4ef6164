import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { expect, onTestFinished, test } from "vitest";
import { client, firstSql } from "#test/bench/client";
import { until } from "#test/support/cluster";
import { imagesWork } from "#test/support/local-cloud";
import { installation } from "#test/support/service";

test.runIf(await imagesWork())("kill -9 of the service leaves volumes mounted and databases serving; the next start adopts them, and its stop leaves no mount", async () => {
  const place = await installation({ COFFER_POOL: "1", COFFER_HTTP_RATE_PER_MINUTE: "1000000" });
  const mounts = async () => (await readFile("/proc/self/mountinfo", "utf8")).split("\n").filter((line) => line.includes(`${place.home}/data/volumes/`));
  const first = await place.start();
  const api = await client(place.url, place.clouds);
  const id = await api.create("kept");
  await firstSql(api, id, 50);
  const sql = postgres(`postgres://alice:secret@${(await api.show(id)).ip?.[0]}:5432/app`, { max: 1, ssl: { rejectUnauthorized: false } });
  onTestFinished(() => sql.end({ timeout: 0 }));
  await sql`create table t as select 1 as n`;
  // The lock names its holder.
  const lock = (await readdir(place.home)).find((name) => name.startsWith("service.lock")) ?? "";
  const pid = Number((await readFile(join(place.home, lock), "utf8")).split(" ")[0]);
  process.kill(pid, "SIGKILL");
  await first.ended;
  expect(await sql`select n from t`).toEqual([{ n: 1 }]);
  expect(await mounts()).toHaveLength(1);

  const second = await place.start();
  onTestFinished(() => place.remove());
  const again = await client(place.url, place.clouds);
  await until(async () => (await again.show(id)).operating_status === "HEALTHY", "the instance", 60_000);
  // The same session: the server was never stopped.
  expect(await sql`select n from t`).toEqual([{ n: 1 }]);
  await second.stop();
  expect(await mounts()).toEqual([]);
});
