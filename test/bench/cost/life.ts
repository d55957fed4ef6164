import { createApp } from "#functions/api/app";
import { createSweep } from "#functions/cron/sweep";
import { createQueueHandler } from "#functions/queue/operations";
import type { Kind } from "#core/operation/index";
import { workflows } from "#core/workflow/index";
import { createTask } from "#functions/workflow/task";
import type { Meter, Usage } from "#test/bench/cost/meter";
import { documentOf, stepOf } from "#test/support/carriers";
import { sqsEvent } from "#test/support/lambda/events";
import { execute } from "#test/support/machine";
import type { World } from "#test/support/world";
import { testSeal } from "#test/support/seal";

const LIVES = 5;
/** Reads and changes of one instance, as in a hundred calls of which a tenth changes something. */
const READS = 90;
const CHANGES = 10;

export interface ControlUsage {
  /** One create and one delete. */
  life: Usage;
  /** One call of the API, nine reads and a change in ten. */
  call: Usage;
}

/** The API, the queue and the workflows of real instances in a cloud that is none, each operation as its rendered state machine. */
export async function measureControl(meter: Meter, world: World): Promise<ControlUsage> {
  const { db, clock, random, config, tenant } = world;
  const sent: { id: string; body: string }[] = [];
  const publisher = {
    publish: async (messages: { id: string; body: string }[]) => {
      meter.count("sqs");
      meter.count("calls");
      sent.push(...messages);
      return messages.map(({ id }) => id);
    },
  };
  const app = createApp({
    db: db.app,
    verifier: { authUrl: "http://identity/v3", verify: async () => (tenant.kind === "user" ? tenant : undefined) },
    publisher,
    doorbell: { ring: async () => meter.count("calls") },
    config: { ...config, COFFER_HTTP_RATE_PER_MINUTE: 1_000_000 },
    seal: testSeal,
    clock,
    random,
  });
  const headers = { "x-auth-token": "t", "content-type": "application/json" };
  const ask = async (method: string, path: string, body?: object): Promise<string> => {
    const reply = await meter.call("api", () => app.request(`/v1.0/p1/instances${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) }));
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text}`);
    meter.count("requests");
    meter.count("out", Buffer.byteLength(text) + JSON.stringify([...reply.headers]).length);
    return text;
  };

  const started: { operationId: string; run: number }[] = [];
  const queue = createQueueHandler({
    start: async (run) => {
      meter.count("calls");
      started.push(run);
    },
  });
  /** What SQS and Step Functions do with all that was sent. */
  const carry = async () => {
    for (const { id, body } of sent.splice(0)) {
      // Received and deleted.
      meter.count("sqs", 2);
      await meter.call("queue", () => queue(sqsEvent([{ messageId: id, body }])));
    }
    for (const run of started.splice(0)) {
      const operation = (await world.running()).find(({ id }) => id === run.operationId);
      if (!operation) throw new Error(`operation ${run.operationId} does not run`);
      const task = createTask(stepOf(world, operation));
      let seconds = 0;
      const { states } = await execute(documentOf(workflows[operation.kind as Kind]), run, async (event) => {
        await world.guestsAct(operation.instanceId);
        clock.advance(seconds * 1000);
        const result = await meter.call("workflow", () => task(event));
        seconds = "seconds" in result ? result.seconds : 0;
        return result;
      });
      meter.count("transitions", states.length);
    }
  };
  const create = async () => {
    const instance = { name: "db", flavorRef: "1", volume: { size: 1 }, databases: [{ name: "app" }], users: [{ name: "alice", password: "secret" }] };
    const { id } = (JSON.parse(await ask("POST", "", { instance })) as { instance: { id: string } }).instance;
    await carry();
    return id;
  };

  // Once unmeasured, as an environment of a function serves many events.
  const kept = await create();
  meter.take(1);
  for (let count = 0; count < LIVES; count++) {
    const id = await create();
    await ask("DELETE", `/${id}`);
    await carry();
  }
  const life = meter.take(LIVES);
  for (let count = 0; count < READS; count++) await ask("GET", count % 2 ? `/${kept}` : "");
  for (let count = 0; count < CHANGES; count++) {
    await ask("POST", `/${kept}/databases`, { databases: [{ name: `db${count}` }] });
    await world.guestsAct(kept);
  }
  return { life, call: meter.take(READS + CHANGES) };
}

/** One sweep with so many instances that serve. */
export async function measureSweep(meter: Meter, world: World, instances: number): Promise<Usage> {
  const { owner } = world.db;
  await owner`
    insert into instance (id, created_at, updated_at, project_id, created_by, name, task, server_state, service_status,
      service_status_at, datastore_version_id, flavor_id, volume_gb, region, address, port)
    select gen_random_uuid(), now(), now(), 'p1', 'ann', 'db', 'NONE', 'ACTIVE', 'healthy', now(), ${world.versionId}, '1', 1, 'RegionOne', '127.1.1.1', 5432
    from generate_series(1, ${instances}::int - (select count(*) from instance where deleted_at is null)::int)`;
  await owner`
    insert into resource (instance_id, project_id, kind, name, external_id)
    select id, 'p1', 'server', 'server-' || id, 'vm-' || id from instance where deleted_at is null on conflict do nothing`;
  const rows = await owner<{ id: string; name: string; externalId: string }[]>`
    select instance_id as id, name, external_id as "externalId" from resource where kind = 'server' and removed_at is null`;
  const servers = rows.map(({ name, externalId }) => ({ id: externalId, name, state: "ACTIVE" as const }));
  const compute = Object.assign(Object.create(world.cloud.compute) as typeof world.cloud.compute, { list: async () => servers });
  const publisher = { publish: async (messages: { id: string }[]) => messages.map(({ id }) => id) };
  const sweep = createSweep({ db: world.db.system, publisher, executions: { start: async () => {} }, workshop: { ...world.workshop, compute }, config: world.config, clock: world.clock });
  meter.take(1);
  for (let count = 0; count < 5; count++) await meter.call("cron", sweep);
  return meter.take(5);
}
