import { and, eq, lt, sql } from "drizzle-orm";
import { now } from "#core/context";
import { batch, read, transaction } from "#core/db/index";
import { rateBucket } from "#core/quota/rate.sql";

/** From a minute's debt to a minute's worth it takes two; the rest is for clocks that differ. */
const FULL_MINUTES = 10;

/** Requests of one kind that a process has let pass, and how many a minute are allowed. */
export interface Taken {
  projectId: string;
  method: string;
  count: number;
  perMinute: number;
}

/**
 * Takes from the bucket that all processes share what this one has let pass; answers what is left, which may be a
 * debt, but never one of more than a minute. Not waited for on disk: a crash forgives the last requests.
 */
export async function settleRate({ projectId, method, count, perMinute }: Taken): Promise<number> {
  const at = now();
  const gained = sql`greatest(0, extract(epoch from ${at.toISOString()}::timestamptz - ${rateBucket.at})) * ${perMinute}::float8 / 60`;
  const tokens = sql`greatest(-${perMinute}::float8, least(${perMinute}::float8, ${rateBucket.tokens} + ${gained}) - ${count}::float8)`;
  const [row] = await batch(
    (tx) =>
      tx
        .insert(rateBucket)
        .values({ projectId, method, tokens: perMinute - count, at })
        .onConflictDoUpdate({ target: [rateBucket.projectId, rateBucket.method], set: { tokens, at: sql`greatest(${rateBucket.at}, excluded.at)` } })
        .returning({ tokens: rateBucket.tokens }),
    { durable: false },
  );
  return row?.tokens ?? perMinute - count;
}

/** In one statement. */
const PURGE = 5_000;

/** Forgets buckets that nothing was taken from for longer than a debt can last: they are full again, as is one that is not there. Returns how many. */
export async function purgeRates(): Promise<number> {
  const before = new Date(now().getTime() - FULL_MINUTES * 60_000);
  return transaction(async (tx) => {
    const idle = tx.select({ projectId: rateBucket.projectId, method: rateBucket.method }).from(rateBucket).where(lt(rateBucket.at, before)).limit(PURGE);
    const gone = await tx
      .delete(rateBucket)
      // Whoever settles meanwhile has moved the time, which is looked at again.
      .where(and(lt(rateBucket.at, before), sql`(${rateBucket.projectId}, ${rateBucket.method}) in (${idle})`))
      .returning({ method: rateBucket.method });
    return gone.length;
  });
}

/** What is left by method, as it was settled last, with what has come in since. */
export async function rateLevels(projectId: string, perMinute: number): Promise<Map<string, number>> {
  const rows = await read((tx) => tx.select().from(rateBucket).where(eq(rateBucket.projectId, projectId)));
  const at = now().getTime();
  return new Map(rows.map((row) => [row.method, Math.min(perMinute, row.tokens + (Math.max(0, at - row.at.getTime()) / 60_000) * perMinute)]));
}
