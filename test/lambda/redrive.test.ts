import { GetQueueAttributesCommand, ReceiveMessageCommand, SendMessageCommand, SetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import type { SQSEvent } from "aws-lambda";
import { execFile } from "node:child_process";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startQueue, type LocalQueue } from "#functions/local/queue";
import { poll } from "#functions/queue/poll";
import { replay } from "#functions/queue/replay";
import { until } from "#test/support/cluster";

let queue: LocalQueue;
beforeEach(async () => {
  queue = await startQueue();
  // What is refused comes again at once.
  await queue.client.send(new SetQueueAttributesCommand({ QueueUrl: queue.queueUrl, Attributes: { VisibilityTimeout: "0" } }));
});
afterEach(() => queue.stop());

const send = (body: string, url = queue.queueUrl) => queue.client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: body }));
const waiting = async (url: string) => {
  const { Attributes } = await queue.client.send(new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ["ApproximateNumberOfMessages"] }));
  return Number(Attributes?.ApproximateNumberOfMessages);
};

test("a message that is refused five times ends in the dead-letter queue, the others are done once", async () => {
  const seen: string[] = [];
  const handler = async ({ Records }: SQSEvent) => {
    seen.push(...Records.map(({ body }) => body));
    return { batchItemFailures: Records.filter(({ body }) => body === "poison").map(({ messageId }) => ({ itemIdentifier: messageId })) };
  };
  await send("good-1");
  await send("poison");
  await send("good-2");
  const stop = poll(queue, handler);
  await until(async () => (await waiting(queue.deadUrl)) === 1, "the dead letter");
  await stop();
  expect(seen.filter((body) => body === "poison")).toHaveLength(5);
  expect(seen.filter((body) => body !== "poison").sort()).toEqual(["good-1", "good-2"]);
  expect(await waiting(queue.queueUrl)).toBe(0);
});

test("dead letters are replayed, all of them or as many as are asked for", async () => {
  for (let count = 0; count < 23; count++) await send(`dead-${count}`, queue.deadUrl);
  expect(await replay({ ...queue, limit: 12 })).toBe(12);
  expect([await waiting(queue.deadUrl), await waiting(queue.queueUrl)]).toEqual([11, 12]);
  expect(await replay({ ...queue, limit: 100 })).toBe(11);
  expect([await waiting(queue.deadUrl), await waiting(queue.queueUrl)]).toEqual([0, 23]);
});

test("an operator replays dead letters by one command, which says what it lacks", async () => {
  const run = promisify(execFile);
  const env = { ...process.env, AWS_ENDPOINT_URL_SQS: queue.endpoint, AWS_REGION: "us-east-1", AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" };
  await send("dead", queue.deadUrl);
  const { stdout } = await run(process.execPath, ["functions/queue/replay.mjs", queue.deadUrl, queue.queueUrl], { env });
  expect(stdout).toBe("1 messages are in the queue again.\n");
  const { Messages } = await queue.client.send(new ReceiveMessageCommand({ QueueUrl: queue.queueUrl }));
  expect(Messages?.map(({ Body }) => Body)).toEqual(["dead"]);
  await expect(run(process.execPath, ["functions/queue/replay.mjs", queue.deadUrl], { env })).rejects.toThrow(/usage: npm run replay/);
});

test("the queue of one machine can be reached from that machine only", async () => {
  const { hostname, port } = new URL(queue.endpoint);
  const others = Object.values(networkInterfaces()).flatMap((list = []) => list.filter(({ internal, family }) => !internal && family === "IPv4").map(({ address }) => address));
  const answers = await Promise.all([hostname, ...others].map((host) => reachable(host, Number(port))));
  expect(answers).toEqual([true, ...others.map(() => false)]);
});

const reachable = (host: string, port: number) =>
  new Promise<boolean>((done) => {
    const socket = connect({ host, port }, () => done(true));
    socket.on("error", () => done(false)).on("connect", () => socket.destroy());
  });
