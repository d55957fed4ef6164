import { DeleteMessageBatchCommand, ReceiveMessageCommand, type Message, type SQSClient } from "@aws-sdk/client-sqs";
import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import { systemClock } from "#core/clock";
import { describe } from "#core/error";
import { log } from "#core/log";

interface Source {
  client: SQSClient;
  queueUrl: string;
}

/**
 * What Lambda's event source mapping does: receives in batches, calls the handler, deletes what it
 * did not report as failed. Returns a function that stops after the batch in hand.
 */
export function poll({ client, queueUrl }: Source, handler: (event: SQSEvent) => Promise<SQSBatchResponse>): () => Promise<void> {
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
        await systemClock.sleep(1000, stopping.signal);
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
