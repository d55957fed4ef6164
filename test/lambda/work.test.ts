import type { APIGatewayProxyStructuredResultV2, SQSBatchResponse } from "aws-lambda";
import { ReceiveMessageCommand } from "@aws-sdk/client-sqs";
import { readdir } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import type { StepResult } from "#core/workflow/step";
import { act } from "#test/support/guests";
import { httpEvent, scheduleEvent, sqsEvent } from "#test/support/lambda/events";
import { createCloud, type Cloud, type Started } from "#test/lambda/rig";

/** An instance's life through the bundles alone: API -> SQS -> queue -> Step Functions -> workflow, and the sweep. */
let cloud: Cloud;
let api: Started;
let queue: Started;
let workflow: Started;
let token: string;
let project: string;
beforeAll(async () => {
  cloud = await createCloud();
  [api, queue, workflow] = [await cloud.start("api"), await cloud.start("queue"), await cloud.start("workflow")];
  ({ token, project } = await cloud.login("demo"));
});
afterAll(() => cloud.close());

const ask = async (method: string, path: string, body?: object) => {
  const headers = { "x-auth-token": token, ...(body && { "content-type": "application/json" }) };
  const event = httpEvent({ method, target: `/v1.0/${project}${path}`, headers, ...(body && { body: JSON.stringify(body) }) });
  const { statusCode, body: text = "" } = await api.invoke<APIGatewayProxyStructuredResultV2>(event);
  return { status: statusCode, text };
};
const create = async (name: string) => {
  const { text } = await ask("POST", "/instances", { instance: { name, flavorRef: "1", volume: { size: 1 }, users: [{ name: "alice", password: "secret" }] } });
  return (JSON.parse(text) as { instance: { id: string } }).instance.id;
};
const statusOf = async (id: string) => (JSON.parse((await ask("GET", `/instances/${id}`)).text) as { instance: { status: string } }).instance.status;

/** All that wait in the queue, as Lambda's event source would hand them over. */
async function received() {
  const { Messages = [] } = await cloud.queue.client.send(new ReceiveMessageCommand({ QueueUrl: cloud.queue.queueUrl, MaxNumberOfMessages: 10 }));
  return Messages.map(({ MessageId = "", Body = "" }) => ({ messageId: MessageId, body: Body }));
}

/** What Step Functions does with an execution: one label after another, guests acting while it waits. */
async function carry(name: string, guest: { instanceId: string; projectId: string; generation: number }): Promise<StepResult> {
  const found = cloud.states.running().find((one) => one.name === name);
  if (!found) throw new Error(`no execution ${name} runs`);
  for (let steps = 0; steps < 100; steps++) {
    const answer = await workflow.invoke<StepResult>(JSON.parse(found.input));
    if (answer.next === "end") {
      cloud.states.close(name, "SUCCEEDED");
      return answer;
    }
    const [known] = await cloud.db.owner`select 1 from guest where instance_id = ${guest.instanceId}`;
    if (known) await cloud.asSystem(() => act(guest));
  }
  throw new Error(`${name} does not end`);
}
const operationOf = async (instanceId: string) => {
  const [row] = await cloud.db.owner<{ id: string; run: number; outcome: string | null }[]>`
    select id, run, outcome from operation where instance_id = ${instanceId} order by created_at desc limit 1`;
  if (!row) throw new Error("no operation");
  return row;
};

test("an instance is created and deleted by the bundled functions, over one connection each", async () => {
  const id = await create("life");
  const guest = { instanceId: id, projectId: project, generation: 1 };
  expect(await queue.invoke(sqsEvent(await received()))).toEqual({ batchItemFailures: [] });
  const { id: operationId } = await operationOf(id);
  expect(cloud.states.all().map(({ name, input }) => [name, JSON.parse(input) as object])).toEqual([[`${operationId}-1`, { operationId, run: 1 }]]);
  expect(await statusOf(id)).toBe("BUILD");
  expect(await carry(`${operationId}-1`, guest)).toEqual({ next: "end", outcome: "done" });
  expect(await statusOf(id)).toBe("ACTIVE");

  expect((await ask("DELETE", `/instances/${id}`)).status).toBe(202);
  expect(await queue.invoke(sqsEvent(await received()))).toEqual({ batchItemFailures: [] });
  const destroy = await operationOf(id);
  expect(await carry(`${destroy.id}-1`, guest)).toEqual({ next: "end", outcome: "done" });
  expect((await ask("GET", `/instances/${id}`)).status).toBe(404);
  for (const lambda of [api, queue, workflow]) expect(lambda.way.peak()).toBe(1);
});

test("one poison record fails alone: the others of its batch are started and not repeated", async () => {
  const ids = [await create("before"), await create("after")];
  const [before, after] = await received();
  if (!before || !after) throw new Error("two messages were expected");
  const bad = ["{", '{"topic":"operation.run","operationId":"x","run":1}', '{"topic":"other"}'].map((body, at) => ({ messageId: `poison-${at}`, body, receives: 5 }));
  const answer = await queue.invoke<SQSBatchResponse>(sqsEvent([before, ...bad, after]));
  expect(answer.batchItemFailures).toEqual([{ itemIdentifier: "poison-0" }, { itemIdentifier: "poison-1" }, { itemIdentifier: "poison-2" }]);
  for (const id of ids) expect(cloud.states.running().map(({ name }) => name)).toContain(`${(await operationOf(id)).id}-1`);
});

test("the sweep sends what the API could not, and drives a run that its execution has left", async () => {
  const lost = await cloud.start("api", { AWS_ENDPOINT_URL_SQS: "http://127.0.0.1:9" });
  const headers = { "x-auth-token": token, "content-type": "application/json" };
  const body = JSON.stringify({ instance: { name: "unsent", flavorRef: "1", volume: { size: 1 } } });
  const { statusCode, body: text = "" } = await lost.invoke<APIGatewayProxyStructuredResultV2>(httpEvent({ method: "POST", target: `/v1.0/${project}/instances`, headers, body }));
  expect(statusCode).toBe(200);
  const { id } = (JSON.parse(text) as { instance: { id: string } }).instance;
  expect(await received()).toEqual([]);

  const cron = await cloud.start("cron");
  expect(await cron.invoke(scheduleEvent)).toBeUndefined();
  const { id: operationId } = await operationOf(id);
  expect((await received()).map(({ body: sent }) => JSON.parse(sent) as object)).toContainEqual({ topic: "operation.run", operationId, run: 1 });
  // The sweep found it due as well: its message only repeats what runs.
  cloud.states.close(`${operationId}-1`, "TIMED_OUT");
  await cron.invoke(scheduleEvent);
  expect(await operationOf(id)).toEqual({ id: operationId, run: 2, outcome: null });
  expect(await carry(`${operationId}-2`, { instanceId: id, projectId: project, generation: 1 })).toEqual({ next: "end", outcome: "done" });
  expect(cron.way.peak()).toBe(1);
});

test("the sweep puts what happened on the bus, by the client in its bundle, with the address that the gateway saw", async () => {
  const seen: { Source: string; EventBusName: string; Detail: string }[] = [];
  const bus = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const { Entries } = JSON.parse(Buffer.concat(parts).toString()) as { Entries: typeof seen };
      seen.push(...Entries);
      response.writeHead(200, { "content-type": "application/x-amz-json-1.1" }).end(JSON.stringify({ FailedEntryCount: 0, Entries: Entries.map((_, at) => ({ EventId: String(at) })) }));
    });
  });
  await new Promise<void>((resolve) => bus.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    bus.closeAllConnections();
    bus.close();
  });
  const id = await create("told");
  const cron = await cloud.start("cron", { COFFER_EVENT_BUS: "coffer-events", AWS_ENDPOINT_URL_EVENTBRIDGE: `http://127.0.0.1:${(bus.address() as AddressInfo).port}` });
  await cron.invoke(scheduleEvent);
  await cron.invoke(scheduleEvent);
  expect(new Set(seen.map(({ Source, EventBusName }) => `${Source} ${EventBusName}`))).toEqual(new Set(["coffer coffer-events"]));
  const events = seen.map(({ Detail }) => JSON.parse(Detail) as { event_type: string; stream: string; sequence: number; payload: object });
  expect(events.filter(({ stream }) => stream === id)).toMatchObject([{ event_type: "dbaas.instance_create.start", payload: { client_ip: "192.0.2.7", name: "told" } }]);
  const rows = await cloud.db.owner<{ seq: number }[]>`select seq::int from event order by seq`;
  expect(events.map(({ sequence }) => sequence).sort((a, b) => a - b)).toEqual(rows.map(({ seq }) => seq));
});

test("a step whose input is no run of ours throws, and names what is wrong", async () => {
  await expect(workflow.invoke({ operationId: "1", run: 0 })).rejects.toThrow(/operationId/);
});

// Last: it looks back on all of the above.
test("functions write nothing beside their own temporary directory", async () => {
  for (const lambda of [api, queue, workflow]) {
    expect(await readdir(lambda.tmp)).toEqual([]);
    expect(await readdir(lambda.task)).toEqual(["index.mjs"]);
    expect(lambda.output()).not.toMatch(/ERR_ACCESS_DENIED|EACCES|EROFS/);
  }
});
