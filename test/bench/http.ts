import { fork, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import postgres from "postgres";
import { migrate } from "#core/db/migrate";
import { nameId } from "#core/datastore/seed";
import { fillCatalogue } from "#test/bench/catalogue";
import { load, type Shot } from "#test/bench/load";
import { startCluster, until } from "#test/support/cluster";

const PROJECT = "0123456789abcdef0123456789abcdef";
const INSTANCES = 1000;

/** GET one, GET a page of 20 of 1,000, POST accepted, at concurrency 1, 8, 32, each beside its floor. */
export async function benchApi(directory: string): Promise<void> {
  const cluster = await startCluster();
  const children: ChildProcess[] = [];
  try {
    const socketDirectory = cluster.socketDirectory;
    const owner = postgres(cluster.url("postgres"), { path: `${socketDirectory}/.s.PGSQL.5432`, max: 1, onnotice: () => {} });
    await until(() => owner`select 1`.then(() => true, () => false), "the database");
    await migrate({ url: cluster.url("postgres"), socketDirectory, folder: "core/db/migrations", passwords: { app: "app-password", system: "system-password" } });
    const id = await fill(owner, cluster.url("postgres", "coffer_system", "system-password"), socketDirectory);
    await owner.end();
    const start = async (program: string, url: string) => {
      const child = fork(join(directory, program), [JSON.stringify({ url, socketDirectory, project: PROJECT })]);
      children.push(child);
      return new Promise<number>((done) => child.once("message", (message) => done((message as { port: number }).port)));
    };
    const floor = await start("floor.mjs", cluster.url("postgres"));
    const api = await start("api.mjs", cluster.url("postgres", "coffer_app", "app-password"));

    const headers = { "x-auth-token": "t", accept: "application/json" };
    const json = { ...headers, "content-type": "application/json" };
    const body = JSON.stringify({ instance: { name: "b", flavorRef: "1", volume: { size: 1 }, databases: [{ name: "app" }] } });
    const base = `/v1.0/${PROJECT}/instances`;
    const pairs: { name: string; ours: Shot; floor: Shot; count: number }[] = [
      { name: "GET one", count: 4000, ours: { method: "GET", path: `${base}/${id}`, headers, expect: 200 }, floor: { method: "GET", path: `/one/${id}`, headers, expect: 200 } },
      { name: "GET list of 20", count: 2000, ours: { method: "GET", path: base, headers, expect: 200 }, floor: { method: "GET", path: "/list", headers, expect: 200 } },
      { name: "POST accepted", count: 3000, ours: { method: "POST", path: base, headers: json, body, expect: 200 }, floor: { method: "POST", path: "/create", headers: json, body, expect: 200 } },
    ];
    console.log("\nAPI beside its floor (requests/s, p99 ms; ratio = floor/ours in requests/s, ours/floor in p99)");
    for (const { name, ours, floor: least, count } of pairs) {
      for (const concurrency of [1, 8, 32]) {
        await load(api, ours, concurrency, count / 10);
        await load(floor, least, concurrency, count / 10);
        const a = await load(api, ours, concurrency, count);
        const b = await load(floor, least, concurrency, count);
        console.log(
          `${name.padEnd(15)} c=${String(concurrency).padEnd(3)} ours ${a.perSecond.toFixed(0).padStart(6)}/s ${a.p99.toFixed(1).padStart(6)} ms   floor ${b.perSecond.toFixed(0).padStart(6)}/s ${b.p99.toFixed(1).padStart(6)} ms   ratio ${(b.perSecond / a.perSecond).toFixed(2)} / ${(a.p99 / b.p99).toFixed(2)}`,
        );
      }
    }
  } finally {
    for (const child of children) child.kill();
    await cluster.stop();
  }
}

/** The same 1,000 rows for both; answers one id. */
async function fill(owner: postgres.Sql, systemUrl: string, socketDirectory: string): Promise<string> {
  await fillCatalogue(systemUrl, socketDirectory);
  const ids = Array.from({ length: INSTANCES }, () => randomUUID());
  await owner`
    insert into instance (id, created_at, updated_at, project_id, created_by, name, task, server_state, service_status,
      service_status_at, datastore_version_id, flavor_id, volume_gb, region, address, port)
    select id::uuid, now(), now(), ${PROJECT}, 'bench', 'db', 'NONE', 'ACTIVE', 'healthy', now(), ${nameId("postgresql", "17")}, '1', 1, 'RegionOne', '127.1.1.1', 5432
    from unnest(${ids}::text[]) as id`;
  await owner`create table floor_instance as select * from instance`;
  await owner`alter table floor_instance add primary key (id)`;
  await owner`create index on floor_instance (project_id, id)`;
  for (const column of ["created_at", "updated_at", "created_by", "task", "server_state", "service_status", "service_status_at", "datastore_version_id", "flavor_id", "volume_gb", "region", "version", "generation", "desired", "nics", "access", "root_enabled"]) {
    await owner`alter table floor_instance alter column ${owner(column)} drop not null`;
  }
  await owner`create table floor_operation (id uuid primary key, instance_id uuid)`;
  await owner`create table floor_outbox (id bigserial primary key, payload jsonb)`;
  await owner`analyze`;
  return ids[0] ?? "";
}
