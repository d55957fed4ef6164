import { DeleteMessageBatchCommand, ReceiveMessageCommand, SQSClient, type Message } from "@aws-sdk/client-sqs";
import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import { startFauxqs } from "fauxqs";
import { describe } from "#core/error";
import { log } from "#core/log";

export interface LocalQueue {
  client: SQSClient;
  queueUrl: string;
  stop: () => Promise<void>;
}

/** Seconds; with a queue in memory only a crash of this process leaves a message invisible. */
const VISIBILITY = 30;
const MAX_RECEIVES = 5;

/** An SQS endpoint in this process, reached through the same SDK client as the real one. */
export async function startQueue(): Promise<LocalQueue> {
  const server = await startFauxqs({ port: 0, host: "127.0.0.1", logger: false });
  const dead = server.createQueue("coffer-dead");
  const { queueUrl } = server.createQueue("coffer-operations", {
    attributes: {
      VisibilityTimeout: String(VISIBILITY),
      RedrivePolicy: JSON.stringify({ deadLetterTargetArn: dead.queueArn, maxReceiveCount: MAX_RECEIVES }),
    },
  });
  const endpoint = `http://127.0.0.1:${server.port}`;
  const client = new SQSClient({
    region: "us-east-1",
    endpoint,
    // The queue is ours and in memory: its credentials open nothing.
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
  });
  return {
    client,
    queueUrl,
    async stop() {
      client.destroy();
      await server.stop();
    },
  };
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
