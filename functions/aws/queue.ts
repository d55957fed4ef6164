import { createSigned, type Caller } from "#functions/aws/signed";
import type { BatchReply, SendBatch } from "#functions/queue/publisher";

/** SQS, by its JSON protocol. At the queue's own address, or where AWS_ENDPOINT_URL_SQS says. */
export function sendSigned(caller: Caller, queueUrl: string): SendBatch {
  const post = createSigned("sqs", caller, { timeoutMs: 5_000, tries: 3 });
  const url = caller.AWS_ENDPOINT_URL_SQS ?? `${new URL(queueUrl).origin}/`;
  const headers = { "content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.SendMessageBatch" };
  return async (entries, signal) => {
    const reply = await post({ url, headers, body: JSON.stringify({ QueueUrl: queueUrl, Entries: entries }), signal });
    if (!reply.ok) throw new Error(`SendMessageBatch: ${reply.status} ${(await reply.text()).slice(0, 500)}`);
    return (await reply.json()) as BatchReply;
  };
}
