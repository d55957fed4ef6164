import { and, asc, inArray, isNull, lt } from "drizzle-orm";
import { ambient, now } from "#core/context";
import { inside, transaction } from "#core/db/index";
import { outbox } from "#core/db/outbox.sql";

/** `operation.run`: carry this run of this operation. */
export interface Message {
  topic: "operation.run";
  projectId: string;
  payload: { operationId: string; run: number };
}

/** Whoever takes messages off our hands: SQS. Resolves once they are stored there. */
export interface Publisher {
  /** Ids of the messages that were taken; the others stay unsent. */
  publish(messages: { id: string; body: string }[], signal: AbortSignal): Promise<string[]>;
}

/** Commits a message with the open transaction; throws outside one. */
export async function emit(message: Message) {
  const [row] = await inside()
    .insert(outbox)
    .values({ projectId: message.projectId, topic: message.topic, payload: message.payload, createdAt: now() })
    .returning({ id: outbox.id });
  if (row) ambient().emitted.push({ id: row.id, body: bodyOf(message) });
}

const bodyOf = ({ topic, payload }: { topic: string; payload: object }) => JSON.stringify({ topic, ...payload });

/** At most this many per SendMessageBatch (SQS API reference). */
const BATCH = 10;

/**
 * Sends what this context has committed. Failure is no error: the sweep sends what is left.
 * `timeoutMs` bounds what a caller of the API waits for it.
 */
export async function sendOwn(publisher: Publisher, timeoutMs = 1000): Promise<number> {
  const messages = ambient().emitted.splice(0);
  return messages.length === 0 ? 0 : send(publisher, messages, timeoutMs);
}

/**
 * Sends what nobody has sent yet. Rows, not an id above the last seen: transactions commit out
 * of order. `olderThanMs` leaves fresh rows to the request that wrote them.
 */
export function sweep(publisher: Publisher, { limit = 100, olderThanMs = 0, timeoutMs = 10_000 } = {}): Promise<number> {
  // Sent while the rows are locked, so that several sweeps share the work; a repeat would be harmless.
  return transaction(async (tx) => {
    const before = new Date(now().getTime() - olderThanMs);
    const rows = await tx
      .select()
      .from(outbox)
      .where(and(isNull(outbox.sentAt), lt(outbox.createdAt, before)))
      .orderBy(asc(outbox.id))
      .limit(limit)
      .for("update", { skipLocked: true });
    return send(publisher, rows.map((row) => ({ id: row.id, body: bodyOf(row) })), timeoutMs);
  });
}

async function send(publisher: Publisher, rows: { id: bigint; body: string }[], timeoutMs: number): Promise<number> {
  let count = 0;
  const signal = AbortSignal.timeout(timeoutMs);
  for (let at = 0; at < rows.length; at += BATCH) {
    const batch = rows.slice(at, at + BATCH);
    const sent = await publisher.publish(
      batch.map(({ id, body }) => ({ id: String(id), body })),
      signal,
    );
    if (sent.length === 0) continue;
    count += sent.length;
    await transaction((tx) =>
      tx.update(outbox).set({ sentAt: now() }).where(inArray(outbox.id, sent.map((id) => BigInt(id)))),
    );
  }
  return count;
}
