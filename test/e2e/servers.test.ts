import { DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand } from "@aws-sdk/client-sqs";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { system } from "#core/actor";
import { systemClock } from "#core/clock";
import { enter } from "#core/context";
import { Database } from "#core/db/index";
import { createFakeCloud } from "#core/driver/fake/index";
import { systemRandom } from "#core/id";
import { localFlavors, seedCatalogue } from "#core/instance/catalogue";
import { createAuthority } from "#core/pki";
import { createIdentity, seedIdentity } from "#functions/identity/index";
import { startQueue, type LocalQueue } from "#functions/local/queue";
import { seededRandom } from "#test/support/clock";
import { startCluster, temporary, until } from "#test/support/cluster";
import { listen, loginBody, passwords, stop } from "#test/support/identity";
import { bundle } from "#test/support/lambda/bundle";
import { forwardTo, type Forward } from "#test/support/lambda/forward";
import { serveCloud } from "#test/support/server/cloud-server";
import { actAll } from "#test/support/server/guests";
import { startServerProcess, type ServerProcess } from "#test/support/server/process";
import { run } from "#test/support/service";

/**
 * Servers of one's own: several processes on one PostgreSQL, one queue, one cloud. One is killed and one stopped
 * in the middle of work, messages are lost and doubled meanwhile.
 */
const seed = Number(process.env.COFFER_SEED ?? Date.now() % 1_000_000);
const { number: random } = seededRandom(seed);
const within = 90_000;
const pace = 100;
const instances = 12;

let root: string;
let cluster: Awaited<ReturnType<typeof startCluster>>;
let way: Forward;
let owner: postgres.Sql;
let system_: Database;
let queue: LocalQueue;
let env: Record<string, string>;
let meanwhile: Parameters<typeof serveCloud>[1] = () => {};
let keystone: Awaited<ReturnType<typeof listen>>;
let endpoint: Awaited<ReturnType<typeof serveCloud>>;
const cloud = createFakeCloud({ random: systemRandom, clock: systemClock, latencyMs: 20, activeAfterMs: 50 });
const servers = new Set<ServerProcess>();
const undo: (() => Promise<unknown>)[] = [];

const urlOf = (user: string, password: string) => `postgres://${user}:${password}@127.0.0.1:${way.port}/coffer`;
const secrets = { COFFER_APP_PASSWORD: "app/password%app@", COFFER_SYSTEM_PASSWORD: "system-password-system" };

beforeAll(async () => {
  root = await temporary("coffer-servers-");
  cluster = await startCluster();
  const path = `${cluster.socketDirectory}/.s.PGSQL.5432`;
  way = await forwardTo(path);
  const admin = postgres(cluster.url("postgres"), { path, max: 1, onnotice: () => {} });
  await until(() => admin`select 1`.then(() => true, () => false), "the server");
  await admin`create database coffer`;
  await admin.end();
  owner = postgres(cluster.url("coffer"), { path, max: 2, onnotice: () => {} });
  queue = await startQueue();
  endpoint = await serveCloud(cloud, (asked) => meanwhile(asked));
  keystone = await listen((request, bindings) => identity.fetch(request, bindings));
  const keystoneUrl = `http://127.0.0.1:${keystone.port}/identity`;
  const authority = await createAuthority("0123456789", new Date());
  env = {
    PATH: process.env.PATH ?? "",
    DATABASE_URL: `postgres://127.0.0.1:${way.port}/coffer`,
    ...secrets,
    COFFER_QUEUE_URL: queue.queueUrl,
    AWS_ENDPOINT_URL_SQS: queue.endpoint,
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    COFFER_KEYSTONE_URL: keystoneUrl,
    COFFER_KEYSTONE_PASSWORD: passwords.trove,
    COFFER_CLOUD: "fake",
    COFFER_TEST_CLOUD: endpoint.url,
    COFFER_GUEST_URL: "https://127.0.0.1:8780/guest/v1",
    COFFER_ROOT_KEY: "07".repeat(32),
    COFFER_CA_CERTIFICATE: authority.certificate.trim(),
    COFFER_CA_KEY: authority.key.trim(),
    COFFER_PORT: "0",
    COFFER_GUEST_PORT: "0",
    COFFER_SWEEP_SECONDS: "2",
    COFFER_HTTP_RATE_PER_MINUTE: "100000",
    COFFER_MAX_INSTANCES: "100",
    COFFER_MAX_VOLUMES_GB: "1000",
    COFFER_HOME: join(root, "home"),
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
  };
  await bundle("functions/server/main.ts", join(root, "build/server.mjs"), { fakes: "test/support/server/cloud.ts" });
  await cp("core/db/migrations", join(root, "build/migrations"), { recursive: true });
  system_ = new Database(urlOf("coffer_system", secrets.COFFER_SYSTEM_PASSWORD), { max: 2, prepare: true });
  const identity = createIdentity({
    db: system_,
    publicUrl: keystoneUrl,
    keyManagerUrl: "https://keys.example",
    databaseUrl: (projectId) => `https://api.example/v1.0/${projectId}`,
    signingKey: Buffer.alloc(32, 7),
    clock: systemClock,
    region: "RegionOne",
  });
  undo.push(actAll(cloud, authority.certificate, () => [...servers].map(({ guestPort }) => guestPort)));
});
afterAll(async () => {
  for (const step of undo) await step();
  for (const one of servers) await one.kill("SIGKILL");
  await endpoint?.close();
  await stop(keystone.server);
  await queue?.stop();
  await system_?.close();
  await owner?.end();
  await way?.close();
  await cluster?.stop();
  await rm(root, { recursive: true, force: true });
});

const npm = (script: string, change: Record<string, string> = {}) => run("npm", ["run", "--silent", script], { ...env, ...change });

async function start(): Promise<ServerProcess> {
  const started = await startServerProcess(join(root, "build/server.mjs"), join(root, "build"), env);
  servers.add(started);
  void started.ended.then(() => servers.delete(started));
  return started;
}

test("a server refuses a database without its schema, and one of an older version, in one sentence", async () => {
  const refusal = () => start().then(() => "it started", (error: Error) => error.message);
  expect(await refusal()).toMatch(/coffer: The database in DATABASE_URL cannot be read as coffer_system .*'npm run migrate'/);

  const migrated = await npm("migrate", { DATABASE_URL: urlOf("owner", "owner-password") });
  expect(migrated).toMatchObject({ code: 0, stdout: expect.stringMatching(/^The schema is up to date; this is installation [0-9a-f]{10}\.\n$/) as string, stderr: "" });

  await owner`update drizzle.__drizzle_migrations set created_at = created_at - 1 where created_at = (select max(created_at) from drizzle.__drizzle_migrations)`;
  expect(await refusal()).toContain("coffer: The database's schema is older than this version; run 'npm run migrate' first.\n");
  await owner`update drizzle.__drizzle_migrations set created_at = created_at + 1 where created_at = (select max(created_at) from drizzle.__drizzle_migrations)`;
});

test("a server refuses to start without drivers for the cloud, or with settings that are wrong, and names them", async () => {
  expect(await npm("serve")).toMatchObject({ code: 1, stderr: "coffer: COFFER_CLOUD: there are no drivers for 'fake'; this build knows none yet.\n" });
  const wrong = await npm("serve", { COFFER_ROOT_KEY: "hunter2", COFFER_DB_MAX: "0" });
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toMatch(/^coffer: The server is not configured\. (?!.*hunter2)(?=.*COFFER_ROOT_KEY: must be 64 hex digits)(?=.*COFFER_DB_MAX: )/);
});

/** Takes messages from the queue now and then, and loses or doubles them. */
function thief() {
  const stopping = new AbortController();
  const done = { lost: 0, doubled: 0 };
  const loop = async () => {
    while (!stopping.signal.aborted) {
      const { Messages = [] } = await queue.client.send(new ReceiveMessageCommand({ QueueUrl: queue.queueUrl, MaxNumberOfMessages: 1, WaitTimeSeconds: 1 }));
      for (const { Body, ReceiptHandle } of Messages) {
        const copies = random() < 0.5 ? 0 : 3;
        for (let copy = 0; copy < copies; copy++) await queue.client.send(new SendMessageCommand({ QueueUrl: queue.queueUrl, MessageBody: Body }));
        await queue.client.send(new DeleteMessageCommand({ QueueUrl: queue.queueUrl, ReceiptHandle }));
        done[copies === 0 ? "lost" : "doubled"]++;
      }
    }
  };
  const ended = loop();
  return async () => {
    stopping.abort();
    await ended;
    return done;
  };
}

test(`work goes on when a process is killed and another stopped, nothing is lost, doubled or left (seed ${seed})`, async () => {
  const asSystem = <T>(work: () => Promise<T>) => enter({ db: system_, actor: system("test"), clock: systemClock }, work);
  await asSystem(async () => {
    await seedCatalogue({ flavors: localFlavors, datastores: [{ name: "postgresql", manager: "postgresql", versions: [{ name: "17", version: "17.10", isDefault: true }] }] });
    await seedIdentity(passwords);
  });
  const login = await fetch(`${env.COFFER_KEYSTONE_URL}/v3/auth/tokens`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ auth: loginBody("demo", passwords.demo, "demo") }),
  });
  const token = login.headers.get("x-subject-token") ?? "";
  const project = ((await login.json()) as { token: { project: { id: string } } }).token.project.id;
  const ask = async (one: ServerProcess, method: string, path: string, body?: object) => {
    const reply = await fetch(`${one.url}/v1.0/${project}${path}`, { method, headers: { "x-auth-token": token, "content-type": "application/json" }, ...(body && { body: JSON.stringify(body) }) });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text}`);
    return text === "" ? {} : (JSON.parse(text) as object);
  };
  const running = () => owner<{ kind: string; label: string; lease_owner: string | null }[]>`select kind, label, lease_owner from operation where outcome is null`;
  const ended = (what: string) => until(async () => (await running()).length === 0, what, within, pace);

  const [first, second] = await Promise.all([start(), start()]);
  const stopThief = thief();
  // Which one takes more of the work is the queue's choice. The third server that a process makes exists when it dies, and it never heard of it.
  const made = new Map<number, number>();
  const killed = new Promise<{ survivor: ServerProcess }>((done) => {
    meanwhile = ({ verb, pid }) => {
      if (verb !== "server.create") return;
      made.set(pid, (made.get(pid) ?? 0) + 1);
      if (made.get(pid) !== 3) return;
      meanwhile = () => {};
      const [victim, survivor] = pid === first.pid ? [first, second] : [second, first];
      void victim.kill("SIGKILL").then(() => done({ survivor }));
    };
  });
  const ids = await Promise.all(
    Array.from({ length: instances }, async (_, at) => {
      const wish = { name: `db${at}`, flavorRef: "1", volume: { size: 1 }, users: [{ name: "alice", password: "secret" }] };
      const { instance } = (await ask(at % 2 ? first : second, "POST", "/instances", { instance: wish })) as { instance: { id: string } };
      return instance.id;
    }),
  );
  const { survivor } = await killed;
  const third = await start();
  await ended(`creates (seed ${seed})`);
  for (const [at, id] of ids.entries()) expect(await ask(at % 2 ? survivor : third, "GET", `/instances/${id}`)).toMatchObject({ instance: { status: "ACTIVE", operating_status: "HEALTHY" } });

  // The one that survived is stopped in order while it works; what it carried is carried on by the third.
  const stopped = new Promise<number | null>((done) => {
    meanwhile = ({ verb, pid }) => {
      if (pid === survivor.pid && verb.endsWith(".resize")) void survivor.kill("SIGTERM").then(done);
    };
  });
  const changes = ["resize_volume", "resize_flavor", "restart", "destroy"] as const;
  const bodies = { resize_volume: { resize: { volume: { size: 3 } } }, resize_flavor: { resize: { flavorRef: "2" } }, restart: { restart: {} } };
  await Promise.all(
    ids.map((id, at) => {
      const change = changes[at % changes.length] ?? "restart";
      return change === "destroy" ? ask(third, "DELETE", `/instances/${id}`) : ask(third, "POST", `/instances/${id}/action`, bodies[change]);
    }),
  );
  expect(await stopped, survivor.output().slice(-2000)).toBe(0);
  expect((await running()).filter(({ lease_owner }) => lease_owner?.includes(`:${survivor.pid}:`))).toEqual([]);
  await ended(`changes (seed ${seed})`);
  const { lost, doubled } = await stopThief();
  process.stdout.write(`COFFER_SEED=${seed}: ${lost} messages lost, ${doubled} doubled\n`);
  expect(lost + doubled).toBeGreaterThan(0);

  const outcomes = await owner<{ kind: string; outcome: string; count: number }[]>`select kind, outcome, count(*)::int from operation group by 1, 2 order by 1`;
  const each = instances / changes.length;
  expect(outcomes.map((row) => ({ ...row }))).toEqual(
    [{ kind: "create", outcome: "done", count: instances }, ...[...changes].sort().map((kind) => ({ kind, outcome: "done", count: each }))],
  );
  // Every label that went on did so once: two successes of one label would be two rows, or one row that a second one overwrote.
  const twice = await owner`select operation_id, label from operation_step where outcome in ('go', 'done', 'cancelled') group by 1, 2 having count(*) > 1`;
  expect(twice.map((row) => ({ ...row }))).toEqual([]);
  expect(endpoint.created.length).toBe(3 * instances);
  expect(new Set(endpoint.created).size).toBe(3 * instances);
  const kept = ids.filter((_, at) => changes[at % changes.length] !== "destroy");
  const all = cloud.all();
  const named = (list: { name: string }[]) => list.map(({ name }) => name.slice(-36)).sort();
  for (const list of [all.servers, all.volumes, all.ports]) expect(named(list)).toEqual([...kept].sort());
  expect(all.volumes.filter(({ sizeGb }) => sizeGb === 3).length).toBe(each);
  expect(all.servers.filter(({ flavorId }) => flavorId === "2").length).toBe(each);
  const usage = await owner<{ resource: string; in_use: number; reserved?: number }[]>`select resource, in_use from quota_usage order by resource`;
  expect(Object.fromEntries(usage.map(({ resource, in_use }) => [resource, in_use]))).toMatchObject({
    instances: kept.length,
    volumes: kept.length + 2 * each,
    ram: 512 * (kept.length + each),
  });
  expect(await third.kill("SIGTERM")).toBe(0);
});
