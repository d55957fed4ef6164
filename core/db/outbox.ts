import { and, asc, isNull, lt, sql } from "drizzle-orm";
import { ambient, now } from "#core/context";
import { inside, single, transaction } from "#core/db/index";
import { outbox } from "#core/db/outbox.sql";
import { given, statement } from "#core/db/statement";

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
  const { projectId, topic, payload } = message;
  const [row] = await insertMessage(inside(), { projectId, topic, payload, createdAt: now() });
  if (row) ambient().emitted.push({ id: row.id, body: bodyOf(message) });
}

const insertMessage = statement((tx) =>
  tx.insert(outbox).values(given(["projectId", "topic", "payload", "createdAt"])).returning({ id: outbox.id }),
);

const bodyOf = ({ topic, payload }: { topic: string; payload: object }) => JSON.stringify({ topic, ...payload });

/** At most this many per SendMessageBatch (SQS API reference). */
const BATCH = 10;

/**
 * Sends what this context has committed. Failure is no error: the sweep sends what is left.
 * `timeoutMs` bounds the call of the queue; a caller of the API waits for two of them at most, as those who come
 * while one is under way share the next.
 */
export async function sendOwn(publisher: Publisher, timeoutMs = 1000): Promise<void> {
  const messages = ambient().emitted.splice(0);
  if (messages.length > 0) await together(publisher, messages, timeoutMs);
}

interface Row {
  id: bigint;
  body: string;
}

/** Of one project: what a context may note as sent. `next` is shared by all that wait. */
interface Line {
  waiting: Row[];
  underWay: Promise<unknown>;
  next?: Promise<unknown> | undefined;
}

const lines = new WeakMap<Publisher, Map<string, Line>>();

/** One call of the queue and one note for all contexts of a project that come while another call is under way. */
function together(publisher: Publisher, rows: Row[], timeoutMs: number): Promise<unknown> {
  const { actor } = ambient();
  const project = actor.kind === "user" ? actor.projectId : "";
  const all = lines.get(publisher) ?? new Map<string, Line>();
  lines.set(publisher, all);
  const begin = (line: Line, some: Row[]) => {
    const sending = send(publisher, some, timeoutMs).finally(() => {
      if (!line.next) all.delete(project);
    });
    line.underWay = sending;
    return sending;
  };
  const line = all.get(project);
  if (!line) {
    const fresh: Line = { waiting: [], underWay: Promise.resolve() };
    all.set(project, fresh);
    return begin(fresh, rows);
  }
  line.waiting.push(...rows);
  line.next ??= line.underWay
    .catch(() => {
      // Told to those whose it was.
    })
    .then(() => {
      line.next = undefined;
      return begin(line, line.waiting.splice(0));
    });
  return line.next;
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

const noteSent = statement((tx) =>
  tx
    .update(outbox)
    .set({ sentAt: sql`${sql.placeholder("at")}::timestamptz` })
    // Nobody waits for the disk, and nothing but this statement is sent.
    .from(sql`set_config('synchronous_commit', 'off', true)`)
    .where(sql`${outbox.id} = any(string_to_array(${sql.placeholder("ids")}, ',')::bigint[])`),
);

/** Sends once more, for whoever takes it, that these runs are to be carried. A lost one is found by the sweep. */
export async function republish(publisher: Publisher, runs: Message["payload"][], timeoutMs = 5_000): Promise<void> {
  const signal = AbortSignal.timeout(timeoutMs);
  for (let at = 0; at < runs.length; at += BATCH) {
    const few = runs.slice(at, at + BATCH);
    await publisher.publish(few.map((payload, index) => ({ id: String(index), body: bodyOf({ topic: "operation.run", payload }) })), signal);
  }
}

async function send(publisher: Publisher, rows: Row[], timeoutMs: number): Promise<number> {
  let count = 0;
  const signal = AbortSignal.timeout(timeoutMs);
  for (let at = 0; at < rows.length; at += BATCH) {
    const few = rows.slice(at, at + BATCH);
    const sent = await publisher.publish(
      few.map(({ id, body }) => ({ id: String(id), body })),
      signal,
    );
    if (sent.length === 0) continue;
    count += sent.length;
    // A note that a crash of the database loses is made again after the message was sent twice, which is harmless.
    await single((tx) => noteSent(tx, { at: now().toISOString(), ids: sent.join(",") }));
  }
  return count;
}
