import { DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { system } from "#core/actor";
import { systemClock } from "#core/clock";
import { enter } from "#core/context";
import { Database } from "#core/db/index";
import { localFlavors, seedCatalogue } from "#core/instance/catalogue";
import { createIdentity, seedIdentity } from "#functions/identity/index";
import { seededRandom } from "#test/support/clock";
import { until } from "#test/support/cluster";
import { listen, loginBody, passwords, stop } from "#test/support/identity";
import { startPlane, type Plane } from "#test/support/server/plane";
import type { ServerProcess } from "#test/support/server/process";

/**
 * Servers of one's own: several processes on one PostgreSQL, one queue, one cloud. One is killed and one stopped
 * in the middle of work, messages are lost and doubled meanwhile.
 */
const seed = Number(process.env.COFFER_SEED ?? Date.now() % 1_000_000);
const { number: random } = seededRandom(seed);
const within = 90_000;
const pace = 100;
const instances = 12;

let plane: Plane;
let system_: Database;
let keystone: Awaited<ReturnType<typeof listen>>;

beforeAll(async () => {
  plane = await startPlane();
  keystone = await listen((request, bindings) => identity.fetch(request, bindings));
  const keystoneUrl = `http://127.0.0.1:${keystone.port}/identity`;
  Object.assign(plane.env, { COFFER_KEYSTONE_URL: keystoneUrl, COFFER_KEYSTONE_PASSWORD: passwords.trove });
  system_ = new Database(plane.systemUrl, { max: 2, prepare: true });
  const identity = createIdentity({
    db: system_,
    publicUrl: keystoneUrl,
    keyManagerUrl: "https://keys.example",
    databaseUrl: (projectId) => `https://api.example/v1.0/${projectId}`,
    signingKey: Buffer.alloc(32, 7),
    clock: systemClock,
    region: "RegionOne",
  });
});
afterAll(async () => {
  await stop(keystone.server);
  await system_?.close();
  await plane?.close();
});

test("a server refuses a database without its schema, and one of an older version, in one sentence", async () => {
  const refusal = () => plane.start().then(() => "it started", (error: Error) => error.message);
  expect(await refusal()).toMatch(/coffer: The database in DATABASE_URL cannot be read as coffer_system .*'npm run migrate'/);

  const migrated = await plane.migrate();
  expect(migrated).toMatchObject({ code: 0, stdout: expect.stringMatching(/^The schema is up to date; this is installation [0-9a-f]{10}\.\n$/) as string, stderr: "" });

  await plane.owner`update drizzle.__drizzle_migrations set created_at = created_at - 1 where created_at = (select max(created_at) from drizzle.__drizzle_migrations)`;
  expect(await refusal()).toContain("coffer: The database's schema is older than this version; run 'npm run migrate' first.\n");
  await plane.owner`update drizzle.__drizzle_migrations set created_at = created_at + 1 where created_at = (select max(created_at) from drizzle.__drizzle_migrations)`;
});

test("a server refuses to start without drivers for the cloud, or with settings that are wrong, and names them", async () => {
  expect(await plane.npm("serve")).toMatchObject({ code: 1, stderr: "coffer: COFFER_CLOUD: there are no drivers for 'fake'; this build knows none yet.\n" });
  const wrong = await plane.npm("serve", { COFFER_ROOT_KEY: "hunter2", COFFER_DB_MAX: "0" });
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toMatch(/^coffer: The server is not configured\. (?!.*hunter2)(?=.*COFFER_ROOT_KEY: must be 64 hex digits)(?=.*COFFER_DB_MAX: )/);
});

/** Takes messages from the queue now and then, and loses or doubles them. */
function thief() {
  const stopping = new AbortController();
  const done = { lost: 0, doubled: 0 };
  const loop = async () => {
    while (!stopping.signal.aborted) {
      const { Messages = [] } = await plane.queue.client.send(new ReceiveMessageCommand({ QueueUrl: plane.queue.queueUrl, MaxNumberOfMessages: 1, WaitTimeSeconds: 1 }));
      for (const { Body, ReceiptHandle } of Messages) {
        const copies = random() < 0.5 ? 0 : 3;
        for (let copy = 0; copy < copies; copy++) await plane.queue.client.send(new SendMessageCommand({ QueueUrl: plane.queue.queueUrl, MessageBody: Body }));
        await plane.queue.client.send(new DeleteMessageCommand({ QueueUrl: plane.queue.queueUrl, ReceiptHandle }));
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
  const login = await fetch(`${plane.env.COFFER_KEYSTONE_URL}/v3/auth/tokens`, {
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
  const running = () => plane.owner<{ kind: string; label: string; lease_owner: string | null }[]>`select kind, label, lease_owner from operation where outcome is null`;
  const ended = (what: string) => until(async () => (await running()).length === 0, what, within, pace);

  const [first, second] = await Promise.all([plane.start(), plane.start()]);
  const stopThief = thief();
  // Which one takes more of the work is the queue's choice. The third server that a process makes exists when it dies, and it never heard of it.
  const made = new Map<number, number>();
  const killed = new Promise<{ survivor: ServerProcess }>((done) => {
    plane.onCall(({ verb, pid }) => {
      if (verb !== "server.create") return;
      made.set(pid, (made.get(pid) ?? 0) + 1);
      if (made.get(pid) !== 3) return;
      plane.onCall(() => {});
      const [victim, survivor] = pid === first.pid ? [first, second] : [second, first];
      void victim.kill("SIGKILL").then(() => done({ survivor }));
    });
  });
  const ids = await Promise.all(
    Array.from({ length: instances }, async (_, at) => {
      const wish = { name: `db${at}`, flavorRef: "1", volume: { size: 1 }, users: [{ name: "alice", password: "secret" }] };
      const { instance } = (await ask(at % 2 ? first : second, "POST", "/instances", { instance: wish })) as { instance: { id: string } };
      return instance.id;
    }),
  );
  const { survivor } = await killed;
  const third = await plane.start();
  await ended(`creates (seed ${seed})`);
  for (const [at, id] of ids.entries()) expect(await ask(at % 2 ? survivor : third, "GET", `/instances/${id}`)).toMatchObject({ instance: { status: "ACTIVE", operating_status: "HEALTHY" } });

  // The one that survived is stopped in order while it works; what it carried is carried on by the third.
  const stopped = new Promise<number | null>((done) => {
    plane.onCall(({ verb, pid }) => {
      if (pid === survivor.pid && verb.endsWith(".resize")) void survivor.kill("SIGTERM").then(done);
    });
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

  const outcomes = await plane.owner<{ kind: string; outcome: string; count: number }[]>`select kind, outcome, count(*)::int from operation group by 1, 2 order by 1`;
  const each = instances / changes.length;
  expect(outcomes.map((row) => ({ ...row }))).toEqual(
    [{ kind: "create", outcome: "done", count: instances }, ...[...changes].sort().map((kind) => ({ kind, outcome: "done", count: each }))],
  );
  // Every label that went on did so once: two successes of one label would be two rows, or one row that a second one overwrote.
  const twice = await plane.owner`select operation_id, label from operation_step where outcome in ('go', 'done', 'cancelled') group by 1, 2 having count(*) > 1`;
  expect(twice.map((row) => ({ ...row }))).toEqual([]);
  expect(plane.created.length).toBe(3 * instances);
  expect(new Set(plane.created).size).toBe(3 * instances);
  const kept = ids.filter((_, at) => changes[at % changes.length] !== "destroy");
  const all = plane.cloud.all();
  const named = (list: { name: string }[]) => list.map(({ name }) => name.slice(-36)).sort();
  for (const list of [all.servers, all.volumes, all.ports]) expect(named(list)).toEqual([...kept].sort());
  expect(all.volumes.filter(({ sizeGb }) => sizeGb === 3).length).toBe(each);
  expect(all.servers.filter(({ flavorId }) => flavorId === "2").length).toBe(each);
  const usage = await plane.owner<{ resource: string; in_use: number; reserved?: number }[]>`select resource, in_use from quota_usage order by resource`;
  expect(Object.fromEntries(usage.map(({ resource, in_use }) => [resource, in_use]))).toMatchObject({
    instances: kept.length,
    volumes: kept.length + 2 * each,
    ram: 512 * (kept.length + each),
  });
  expect(await third.kill("SIGTERM")).toBe(0);
});
