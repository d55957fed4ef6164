import { SendMessageBatchCommand, type SQSClient } from "@aws-sdk/client-sqs";
import type { Publisher } from "#core/db/outbox";
import { log } from "#core/log";

/** Hands messages to SQS; an entry that SQS refuses stays unsent and is tried again by the sweep. */
export const createPublisher = (client: SQSClient, queueUrl: string): Publisher => ({
  async publish(messages, signal) {
    const reply = await client.send(
      new SendMessageBatchCommand({
        QueueUrl: queueUrl,
        Entries: messages.map(({ id, body }) => ({ Id: id, MessageBody: body })),
      }),
      { abortSignal: signal },
    );
    for (const { Id, Code } of reply.Failed ?? []) log.warn("message not taken", { record: Id, code: Code });
    return (reply.Successful ?? []).flatMap(({ Id }) => (Id === undefined ? [] : [Id]));
  },
});
