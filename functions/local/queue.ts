import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SQSClient,
  type Message,
} from "@aws-sdk/client-sqs";
import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import { buildApp } from "fauxqs";
import { describe } from "#core/error";
import { log } from "#core/log";

export interface LocalQueue {
  client: SQSClient;
  endpoint: string;
  queueUrl: string;
  /** Where messages end that were refused too often. */
  deadUrl: string;
  stop: () => Promise<void>;
}

/** Seconds; with a queue in memory only a crash of this process leaves a message invisible. */
const VISIBILITY = 30;
const MAX_RECEIVES = 5;
/** Loopback only; the emulator's own start function would listen on every address of the machine. */
const HOST = "127.0.0.1";

/** What is used of the emulator's Fastify, whose types its own do not find. */
interface Emulator {
  listen(at: { port: number; host: string }): Promise<string>;
  close(): Promise<void>;
}

/** An SQS endpoint in this process, reached through the same SDK client as the real one. */
export async function startQueue(): Promise<LocalQueue> {
  const server = buildApp({ logger: false }) as unknown as Emulator;
  const endpoint = await server.listen({ port: 0, host: HOST });
  const client = new SQSClient({
    region: "us-east-1",
    endpoint,
    // The queue is ours and in memory: its credentials open nothing.
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
  });
  const deadUrl = await createQueue(client, "coffer-dead", {});
  const { Attributes } = await client.send(new GetQueueAttributesCommand({ QueueUrl: deadUrl, AttributeNames: ["QueueArn"] }));
  const queueUrl = await createQueue(client, "coffer-operations", {
    VisibilityTimeout: String(VISIBILITY),
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: Attributes?.QueueArn, maxReceiveCount: MAX_RECEIVES }),
  });
  return {
    client,
    endpoint,
    queueUrl,
    deadUrl,
    async stop() {
      client.destroy();
      await server.close();
    },
  };
}

async function createQueue(client: SQSClient, name: string, attributes: Record<string, string>): Promise<string> {
  const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }));
  if (!QueueUrl) throw new Error(`the queue ${name} was not made`);
  return QueueUrl;
}

/**
 * What Lambda's event source mapping does: receives in batches, calls the handler, deletes what it
 * did not report as failed. Returns a function that stops after the batch in hand.
 */
export function poll({ client, queueUrl }: LocalQueue, handler: (event: SQSEvent) => Promise<SQSBatchResponse>): () => Promise<void> {
  const stopping = new AbortController();
  const loop = async () => {
    while (!stopping.signal.aborted) {
      try {
        const { Messages = [] } = await client.send(
          new ReceiveMessageCommand({ QueueUrl: queueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 20 }),
          { abortSignal: stopping.signal },
        );
        if (Messages.length > 0) await deliver(client, queueUrl, Messages, handler);
      } catch (error) {
        if (stopping.signal.aborted) return;
        log.warn("queue poll failed", { error: describe(error) });
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
  };
  const ended = loop();
  return async () => {
    stopping.abort();
    await ended;
  };
}

async function deliver(client: SQSClient, queueUrl: string, messages: Message[], handler: (event: SQSEvent) => Promise<SQSBatchResponse>) {
  const { batchItemFailures } = await handler({
    Records: messages.map((message) => ({
      messageId: message.MessageId ?? "",
      receiptHandle: message.ReceiptHandle ?? "",
      body: message.Body ?? "",
      attributes: { ApproximateReceiveCount: "1", SentTimestamp: "0", SenderId: "local", ApproximateFirstReceiveTimestamp: "0" },
      messageAttributes: {},
      md5OfBody: message.MD5OfBody ?? "",
      eventSource: "aws:sqs",
      eventSourceARN: "arn:aws:sqs:us-east-1:000000000000:coffer-operations",
      awsRegion: "us-east-1",
    })),
  });
  const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
  const entries = messages
    .filter(({ MessageId }) => !failed.has(MessageId ?? ""))
    .map(({ MessageId, ReceiptHandle }) => ({ Id: MessageId ?? "", ReceiptHandle }));
  if (entries.length > 0) await client.send(new DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries }));
}
