import { eq, sql } from "drizzle-orm";
import { now } from "#core/context";
import { batch, read } from "#core/db/index";
import { rateBucket } from "#core/quota/rate.sql";

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

/** What is left by method, as it was settled last, with what has come in since. */
export async function rateLevels(projectId: string, perMinute: number): Promise<Map<string, number>> {
  const rows = await read((tx) => tx.select().from(rateBucket).where(eq(rateBucket.projectId, projectId)));
  const at = now().getTime();
  return new Map(rows.map((row) => [row.method, Math.min(perMinute, row.tokens + (Math.max(0, at - row.at.getTime()) / 60_000) * perMinute)]));
}
