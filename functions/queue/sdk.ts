import { SendMessageBatchCommand, type SQSClient } from "@aws-sdk/client-sqs";
import type { SendBatch } from "#functions/queue/publisher";

/** By a client of the SDK, for processes that have one anyhow, as they poll. */
export const sendBySdk =
  (client: SQSClient, queueUrl: string): SendBatch =>
  (entries, abortSignal) =>
    client.send(new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries }), { abortSignal });
