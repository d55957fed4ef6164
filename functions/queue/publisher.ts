import type { Publisher } from "#core/db/outbox";
import { log } from "#core/log";

/** Request and reply of SendMessageBatch, as far as they are used (SQS API reference). */
interface Entry {
  Id: string;
  MessageBody: string;
}
export interface BatchReply {
  Successful?: { Id?: string | undefined }[] | undefined;
  Failed?: { Id?: string | undefined; Code?: string | undefined }[] | undefined;
}
/** One SendMessageBatch to one queue; rejects when the queue gives no answer, or refuses all of it. */
export type SendBatch = (entries: Entry[], signal: AbortSignal) => Promise<BatchReply>;

/** Hands messages to SQS; an entry that SQS refuses stays unsent and is tried again by the sweep. */
export const createPublisher = (send: SendBatch): Publisher => ({
  async publish(messages, signal) {
    const reply = await send(messages.map(({ id, body }) => ({ Id: id, MessageBody: body })), signal);
    for (const { Id, Code } of reply.Failed ?? []) log.warn("message not taken", { record: Id, code: Code });
    return (reply.Successful ?? []).flatMap(({ Id }) => (Id === undefined ? [] : [Id]));
  },
});
