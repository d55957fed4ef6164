import { SFNClient } from "@aws-sdk/client-sfn";
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { createExecutions } from "#functions/aws/executions";
import { createQueueHandler } from "#functions/queue/operations";
import { machines } from "#test/support/lambda/environment";
import { sqsEvent } from "#test/support/lambda/events";
import { startStates } from "#test/support/lambda/states";
import { createWorld, type World } from "#test/support/world";

let world: World;
let states: Awaited<ReturnType<typeof startStates>>;
let client: SFNClient;
beforeAll(async () => {
  world = await createWorld();
});
beforeEach(async () => {
  states = await startStates();
  client = new SFNClient({ region: "us-east-1", endpoint: states.url, maxAttempts: 1, credentials: { accessKeyId: "test", secretAccessKey: "test" } });
});
afterEach(() => states.stop());
afterAll(() => world.close());

const executions = () => createExecutions({ db: world.db.system, client, machines, clock: world.clock });
const names = () => states.all().map(({ name }) => name);

/** A create that has just been accepted. */
async function begun(): Promise<{ operationId: string; run: number }> {
  const id = await world.create();
  const [row] = await world.db.owner<{ id: string }[]>`select id from operation where instance_id = ${id}`;
  return { operationId: row?.id ?? "", run: 1 };
}
const rowOf = async (operationId: string) => {
  const [row] = await world.db.owner`select run, label, outcome, failure, deadline, lease_generation from operation where id = ${operationId}`;
  return row ?? {};
};

test("each kind of operation has a machine, or nothing starts at all", () => {
  const { create: _create, ...rest } = machines;
  expect(_create).toBeDefined();
  expect(() => createExecutions({ db: world.db.system, client, machines: rest })).toThrow("COFFER_STATE_MACHINES: no state machine for create");
});

test("a message that comes ten times, also at once, starts one execution", async () => {
  const input = await begun();
  await Promise.all(Array.from({ length: 10 }, () => executions().start(input)));
  expect(states.all()).toEqual([{ name: `${input.operationId}-1`, machine: machines.create, input: JSON.stringify(input), status: "RUNNING" }]);
});

test("a message that comes after the end starts nothing", async () => {
  const input = await begun();
  await executions().start(input);
  await world.drive();
  states.close(`${input.operationId}-1`, "SUCCEEDED");
  await executions().start(input);
  expect(names()).toEqual([`${input.operationId}-1`]);
  expect(await rowOf(input.operationId)).toMatchObject({ run: 1, outcome: "done" });
});

test("an operation that ended without its execution, as on another runner, is not started by a late message", async () => {
  const input = await begun();
  await world.drive();
  await executions().start(input);
  expect(names()).toEqual([]);
});

test.each(["TIMED_OUT", "ABORTED", "FAILED", "SUCCEEDED"] as const)("an execution that is %s while its row is open truly runs again, where it was", async (status) => {
  const input = await begun();
  await executions().start(input);
  await world.stepOnce(input);
  const before = await rowOf(input.operationId);
  states.close(`${input.operationId}-1`, status);
  await executions().start(input);
  expect(names()).toEqual([`${input.operationId}-1`, `${input.operationId}-2`]);
  expect(states.running().map(({ input: given }) => JSON.parse(given) as object)).toEqual([{ ...input, run: 2 }]);
  expect(await rowOf(input.operationId)).toEqual({ ...before, run: 2 });
  // The old run's leftovers do nothing; the new one carries the operation to its end.
  expect(await world.stepOnce(input)).toEqual({ next: "end", outcome: "superseded" });
  await executions().start(input);
  expect(names()).toHaveLength(2);
  await world.drive();
  expect(await rowOf(input.operationId)).toMatchObject({ run: 2, outcome: "done" });
});

test("a run raised once is raised once, however many find its execution closed", async () => {
  const input = await begun();
  await executions().start(input);
  states.close(`${input.operationId}-1`, "ABORTED");
  await Promise.all(Array.from({ length: 5 }, () => executions().start(input)));
  expect(names()).toEqual([`${input.operationId}-1`, `${input.operationId}-2`]);
  expect(await rowOf(input.operationId)).toMatchObject({ run: 2 });
});

test("a closed execution whose last step still holds the lease is left until the lease has ended", async () => {
  const input = await begun();
  await executions().start(input);
  await world.db.owner`update operation set lease_owner = 'late', lease_until = ${new Date(world.clock.now().getTime() + 20_000)} where id = ${input.operationId}`;
  states.close(`${input.operationId}-1`, "TIMED_OUT");
  await executions().start(input);
  expect(await rowOf(input.operationId)).toMatchObject({ run: 1 });
  world.clock.advance(21_000);
  await executions().start(input);
  expect(names()).toEqual([`${input.operationId}-1`, `${input.operationId}-2`]);
});

test("a raised run that could not be started is started by the next who looks", async () => {
  const input = await begun();
  await executions().start(input);
  states.close(`${input.operationId}-1`, "ABORTED");
  await world.db.owner`update operation set run = 2 where id = ${input.operationId}`;
  await executions().start({ ...input, run: 2 });
  expect(names()).toEqual([`${input.operationId}-1`, `${input.operationId}-2`]);
});

test("messages in any order end the same: each starts its own, and one for an older run nothing", async () => {
  const [first, second] = [await begun(), await begun()];
  await world.db.owner`update operation set run = 2 where id = ${first.operationId}`;
  const message = (body: object, messageId: string) => ({ messageId, body: JSON.stringify({ topic: "operation.run", ...body }) });
  const handler = createQueueHandler(executions());
  expect(await handler(sqsEvent([message({ ...first, run: 2 }, "b"), message(second, "c"), message(first, "a")]))).toEqual({ batchItemFailures: [] });
  expect(names().sort()).toEqual([`${first.operationId}-2`, `${second.operationId}-1`].sort());
});

test("a message that arrives before its commit can be seen comes again, and starts once it can", async () => {
  const handler = createQueueHandler(executions());
  const operationId = randomUUID();
  const event = sqsEvent([{ messageId: "early", body: JSON.stringify({ topic: "operation.run", operationId, run: 1 }) }]);
  expect(await handler(event)).toEqual({ batchItemFailures: [{ itemIdentifier: "early" }] });
  const { operationId: like } = await begun();
  await world.db.owner`update operation set outcome = 'cancelled' where id = ${like}`;
  await world.db.owner`insert into operation (id, project_id, instance_id, kind, label, deadline, wake_at, actor, created_at, updated_at)
    select ${operationId}, project_id, instance_id, kind, label, deadline, wake_at, actor, created_at, updated_at from operation where id = ${like}`;
  expect(await handler(event)).toEqual({ batchItemFailures: [] });
  expect(names()).toEqual([`${operationId}-1`]);
});

test("while Step Functions refuses, messages stay in the queue and nothing is raised", async () => {
  const input = await begun();
  states.refuseWith("ThrottlingException");
  const handler = createQueueHandler(executions());
  const event = sqsEvent([{ messageId: "m", body: JSON.stringify({ topic: "operation.run", ...input }) }]);
  expect(await handler(event)).toEqual({ batchItemFailures: [{ itemIdentifier: "m" }] });
  states.refuseWith(undefined);
  expect(await handler(event)).toEqual({ batchItemFailures: [] });
  expect(await rowOf(input.operationId)).toMatchObject({ run: 1 });
});
