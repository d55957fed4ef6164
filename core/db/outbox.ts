import { and, asc, inArray, isNull, lt } from "drizzle-orm";
import { ambient, now } from "#core/context";
import { inside, transaction, read } from "#core/db/index";
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
  if (row) ambient().emitted.push(row.id);
}

/** At most this many per SendMessageBatch (SQS API reference). */
const BATCH = 10;

/**
 * Sends what this context has committed. Failure is no error: the sweep sends what is left.
 * `timeoutMs` bounds what a caller of the API waits for it.
 */
export async function sendOwn(publisher: Publisher, timeoutMs = 1000): Promise<number> {
  const ids = ambient().emitted.splice(0);
  if (ids.length === 0) return 0;
  const rows = await read((tx) => tx.select().from(outbox).where(and(inArray(outbox.id, ids), isNull(outbox.sentAt))));
  return send(publisher, rows, timeoutMs);
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
    return send(publisher, rows, timeoutMs);
  });
}

async function send(publisher: Publisher, rows: (typeof outbox.$inferSelect)[], timeoutMs: number): Promise<number> {
  let count = 0;
  const signal = AbortSignal.timeout(timeoutMs);
  for (let at = 0; at < rows.length; at += BATCH) {
    const batch = rows.slice(at, at + BATCH);
    const sent = await publisher.publish(
      batch.map((row) => ({ id: String(row.id), body: JSON.stringify({ topic: row.topic, ...row.payload }) })),
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
