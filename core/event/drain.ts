import { and, eq, inArray, isNull, lt, lte, sql } from "drizzle-orm";
import { deadline } from "#core/clock";
import { ambient, now } from "#core/context";
import { read, transaction } from "#core/db/index";
import { describe } from "#core/error";
import { event, type Traits } from "#core/event/event.sql";
import { log } from "#core/log";

/** An event as it leaves: the notification of oslo.messaging, with what orders it. */
export interface Envelope {
  /** The same at every delivery of this event. */
  message_id: string;
  publisher_id: string;
  event_type: string;
  priority: "INFO";
  payload: Traits;
  /** UTC, `2026-11-23 07:31:35.123456`. */
  timestamp: string;
  /** What it is about; among those of one stream `sequence` rises in the order in which things happened. */
  stream: string;
  sequence: number;
}

/** Whoever takes events off our hands. */
export interface Sink {
  /** Resolves with the ids of those that are stored there; the others are tried again, as all are if it rejects. One event of a stream at a time. */
  deliver(events: Envelope[], signal: AbortSignal): Promise<string[]>;
}

/** Events in one delivery: the oldest of as many streams. */
const ROUND = 50;
/** A delivery has given up before its events may be taken by another drainer. */
const DELIVERY_SECONDS = 20;
const HELD_SECONDS = 30;
/** Back-off of a stream, seconds: doubling from two, half of it random. */
const BACKOFF_CEILING = 300;

/**
 * Delivers what is due, until nothing is, a whole delivery failed, or `seconds` have passed. Any number of drainers may
 * do so at once: an event is in the hands of one, and the next of its stream waits for it. Returns how many were taken.
 */
export async function drain(sink: Sink, { seconds = 20 } = {}): Promise<number> {
  const until = now().getTime() + seconds * 1000;
  let count = 0;
  for (;;) {
    const held = await take();
    if (held.length === 0) return count;
    const taken = await sink
      .deliver(held.map(envelopeOf), deadline(ambient().clock, DELIVERY_SECONDS * 1000))
      .catch((error: unknown) => {
        log.warn("events were not taken", { count: held.length, error: describe(error) });
        return [];
      });
    await settle(held, new Set(taken));
    count += taken.length;
    if (taken.length === 0 || now().getTime() >= until) return count;
  }
}

type Held = typeof event.$inferSelect;

/** The oldest undelivered event of every stream that is due, for `HELD_SECONDS`. */
function take(): Promise<Held[]> {
  const at = now();
  return transaction(async (tx) => {
    const first = sql`not exists (select 1 from ${event} as before where before.stream = ${event.stream} and before.sent_at is null and before.seq < ${event.seq})`;
    // Whoever holds a row has moved its time when it lets go, which is looked at again then.
    const due = await tx
      .select({ id: event.id })
      .from(event)
      .where(and(isNull(event.sentAt), lte(event.dueAt, at), first))
      .orderBy(event.dueAt, event.seq)
      .limit(ROUND)
      .for("update", { skipLocked: true });
    if (due.length === 0) return [];
    return tx
      .update(event)
      .set({ dueAt: new Date(at.getTime() + HELD_SECONDS * 1000) })
      .where(inArray(event.id, due.map(({ id }) => id)))
      .returning();
  });
}

async function settle(held: Held[], taken: Set<string>): Promise<void> {
  const at = now();
  const gone = held.filter(({ id }) => taken.has(id)).map(({ id }) => id);
  await transaction(async (tx) => {
    if (gone.length > 0) await tx.update(event).set({ sentAt: at }).where(inArray(event.id, gone));
    for (const { id, stream, attempts } of held.filter((one) => !taken.has(one.id))) {
      const wait = Math.min(2 ** (attempts + 1), BACKOFF_CEILING) * (0.5 + ambient().random.number() / 2);
      const dueAt = new Date(at.getTime() + wait * 1000);
      await tx.update(event).set({ attempts: attempts + 1 }).where(eq(event.id, id));
      // Those behind it cannot go before it: they need not be looked at either.
      await tx.update(event).set({ dueAt }).where(and(eq(event.stream, stream), isNull(event.sentAt)));
    }
  });
}

const envelopeOf = ({ id, seq, stream, type, publisher, payload, createdAt }: Held): Envelope => ({
  message_id: id,
  publisher_id: publisher,
  event_type: type,
  priority: "INFO",
  payload,
  timestamp: createdAt.toISOString().replace("T", " ").replace("Z", "000"),
  stream,
  sequence: seq,
});

/** Delivered events are kept this long, so that what left can still be looked at. */
const KEPT_HOURS = 24;
/** In one statement. */
const PURGE = 10_000;

/** Forgets what was delivered a day ago; where `nobody` listens, everything that is as old. Returns how many rows went. */
export async function purgeEvents({ nobody }: { nobody: boolean }): Promise<number> {
  const before = new Date(now().getTime() - KEPT_HOURS * 3_600_000);
  const old = nobody ? lt(event.createdAt, before) : lt(event.sentAt, before);
  return transaction(async (tx) => {
    const some = tx.select({ id: event.id }).from(event).where(old).limit(PURGE);
    return (await tx.delete(event).where(inArray(event.id, some)).returning({ id: event.id })).length;
  });
}

/** An event that could not be delivered for so long is counted, seconds. */
const LATE_SECONDS = 900;

/** How many events have waited too long: whoever should take them does not. */
export async function lateEvents(): Promise<number> {
  const before = new Date(now().getTime() - LATE_SECONDS * 1000);
  const [row] = await read((tx) => tx.select({ count: sql<number>`count(*)::int` }).from(event).where(and(isNull(event.sentAt), lt(event.createdAt, before))));
  return row?.count ?? 0;
}
