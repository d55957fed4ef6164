import { DeleteMessageBatchCommand, ReceiveMessageCommand, SendMessageBatchCommand, SQSClient } from "@aws-sdk/client-sqs";

export interface Replay {
  client: SQSClient;
  /** Where the messages are that were refused five times. */
  deadUrl: string;
  queueUrl: string;
  /** Moves at most so many: what dies again at once is not carried round for ever. */
  limit: number;
}

/**
 * Puts dead letters back into the queue, once their cause is mended. A message is deleted there after it is
 * stored here, so that an end in the middle repeats some, which is harmless. Answers how many were moved;
 * throws when the queue refuses one.
 */
export async function replay({ client, deadUrl, queueUrl, limit }: Replay): Promise<number> {
  let moved = 0;
  while (moved < limit) {
    const count = Math.min(10, limit - moved);
    const { Messages = [] } = await client.send(new ReceiveMessageCommand({ QueueUrl: deadUrl, MaxNumberOfMessages: count, WaitTimeSeconds: 1 }));
    if (Messages.length === 0) return moved;
    const sent = await client.send(
      new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries: Messages.map(({ Body }, at) => ({ Id: String(at), MessageBody: Body })) }),
    );
    const taken = Messages.filter((_, at) => sent.Successful?.some(({ Id }) => Id === String(at)));
    if (taken.length > 0) {
      await client.send(
        new DeleteMessageBatchCommand({ QueueUrl: deadUrl, Entries: taken.map(({ ReceiptHandle }, at) => ({ Id: String(at), ReceiptHandle })) }),
      );
    }
    moved += taken.length;
    const refused = sent.Failed?.[0];
    if (refused) throw new Error(`The queue refused a message after ${moved} were moved: ${refused.Message ?? refused.Code}`);
  }
  return moved;
}

/** `npm run replay -- <dead-letter queue> <queue>`, both by URL; region and credentials as for the AWS CLI. */
export async function main([deadUrl, queueUrl, ...rest]: string[]): Promise<void> {
  if (!deadUrl || !queueUrl || rest.length > 0) throw new Error("usage: npm run replay -- <URL of the dead-letter queue> <URL of the queue>");
  const client = new SQSClient({ useQueueUrlAsEndpoint: false });
  const moved = await replay({ client, deadUrl, queueUrl, limit: 10_000 });
  console.log(`${moved} messages are in the queue again.`);
}
