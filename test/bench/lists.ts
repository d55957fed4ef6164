import { fork, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import postgres from "postgres";
import { migrate } from "#core/db/migrate";
import { nameId } from "#core/datastore/seed";
import { fillCatalogue } from "#test/bench/catalogue";
import { load, percentile, type Rate, type Shot } from "#test/bench/load";
import { startCluster, until } from "#test/support/cluster";

const PROJECT = "0123456789abcdef0123456789abcdef";
/** In turns, the one and the other: what else the machine does falls on both. The figures are medians over the turns. */
const TURNS = 9;
const REQUESTS = 400;
/** What p99 may be worth of the small one's. */
const TARGET = 1.5;

/** A project among others, so that both lists have something to leave out; a tenth is gone already. */
const sizes = { small: { project: 100, all: 1_000 }, large: { project: 10_000, all: 100_000 } };

/** Lists over few and over many instances, the same page, at concurrency 1, 8, 32: p99 of the one beside the other. */
export async function benchLists(directory: string): Promise<void> {
  const cluster = await startCluster();
  const children: ChildProcess[] = [];
  try {
    const { socketDirectory } = cluster;
    const connect = (name: string) => postgres(cluster.url(name), { path: `${socketDirectory}/.s.PGSQL.5432`, max: 1, onnotice: () => {} });
    const first = connect("postgres");
    await until(() => first`select 1`.then(() => true, () => false), "the database");
    const ports: Record<string, number> = {};
    for (const [name, size] of Object.entries(sizes)) {
      await first.unsafe(`create database ${name}`);
      await migrate({ url: cluster.url(name), socketDirectory, folder: "core/db/migrations", passwords: { app: "app-password", system: "system-password" } });
      await fill(connect(name), cluster.url(name, "coffer_system", "system-password"), socketDirectory, size);
      const child = fork(join(directory, "api.mjs"), [JSON.stringify({ url: cluster.url(name, "coffer_app", "app-password"), socketDirectory, project: PROJECT })]);
      children.push(child);
      ports[name] = await new Promise<number>((done) => child.once("message", (message) => done((message as { port: number }).port)));
    }
    await first.end();

    const base = `/v1.0/${PROJECT}`;
    const get = (path: string, token = "t"): Shot => ({ method: "GET", path: `${base}${path}`, headers: { "x-auth-token": token, accept: "application/json" }, expect: 200 });
    const shots: Record<string, Shot> = {
      "GET instances": get("/instances"),
      "GET detail": get("/instances/detail"),
      "GET next page": get("/instances?marker=00000000-0000-4000-8000-000000000032"),
      "GET mgmt": get("/mgmt/instances?limit=20", "admin"),
      "GET mgmt live": get("/mgmt/instances?limit=20&deleted=false", "admin"),
      "GET mgmt deleted": get("/mgmt/instances?limit=20&deleted=true", "admin"),
      "GET mgmt project": get(`/mgmt/instances?limit=20&project_id=${PROJECT}`, "admin"),
      "GET mgmt few": get("/mgmt/instances?limit=20&project_id=few", "admin"),
    };
    console.log(`\nLists: ${sizes.large.project} instances of a project beside ${sizes.small.project}, all ${sizes.large.all} beside ${sizes.small.all} (p50, p99 ms; target ${TARGET}x of p99)`);
    for (const [name, shot] of Object.entries(shots)) {
      for (const concurrency of [1, 8, 32]) {
        const rates: Record<keyof typeof sizes, Rate[]> = { small: [], large: [] };
        // The first turn warms both up.
        for (let turn = 0; turn <= TURNS; turn++) {
          for (const size of ["small", "large"] as const) {
            const rate = await load(ports[size] ?? 0, shot, concurrency, REQUESTS);
            if (turn > 0) rates[size].push(rate);
          }
        }
        const [small, large] = [middle(rates.small), middle(rates.large)];
        const ratio = large.p99 / small.p99;
        console.log(`${name.padEnd(17)} c=${String(concurrency).padEnd(3)} few ${small.p50.toFixed(1).padStart(6)} ${small.p99.toFixed(1).padStart(6)}   many ${large.p50.toFixed(1).padStart(6)} ${large.p99.toFixed(1).padStart(6)}   ratio ${ratio.toFixed(2)}${ratio > TARGET ? "  over the target" : ""}`);
      }
    }
  } finally {
    for (const child of children) child.kill();
    await cluster.stop();
  }
}

const middle = (rates: Rate[]) => ({ p50: percentile(rates.map(({ p50 }) => p50), 0.5), p99: percentile(rates.map(({ p99 }) => p99), 0.5) });

/** Instances with their resources; ids and times rise and fall apart, as random ids do. */
async function fill(owner: postgres.Sql, systemUrl: string, socketDirectory: string, { project, all }: { project: number; all: number }): Promise<void> {
  await fillCatalogue(systemUrl, socketDirectory);
  await owner`
    insert into instance (id, created_at, updated_at, deleted_at, project_id, created_by, name, task, server_state, service_status,
      service_status_at, datastore_version_id, flavor_id, volume_gb, region, address, port)
    select ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, now() - n * 7919 % 100003 * interval '1 second', now() - n * 7919 % 100003 * interval '1 second',
      case when n % 10 = 9 then now() end, case when n <= ${project} then ${PROJECT} when n > ${all - 10} then 'few' else 'other-' || n % 50 end, 'bench', 'db', 'NONE', 'ACTIVE', 'healthy', now(),
      ${nameId("postgresql", "17")}, '1', 1, 'RegionOne', '127.1.1.1', 5432
    from generate_series(1, ${all}::bigint) as n`;
  await owner`
    insert into resource (instance_id, project_id, kind, name, external_id)
    select id, project_id, kind, kind || '-' || id, kind || id from instance, unnest(array['server', 'volume', 'port']) as kind`;
  await owner`vacuum analyze`;
  await owner.end();
}
