import { and, asc, eq, gt, isNull, lt, sql } from "drizzle-orm";
import { now } from "#core/context";
import { inside, transaction } from "#core/db/index";
import { audit } from "#core/event/audit.sql";
import { record } from "#core/event/index";
import { measured, traitsOf } from "#core/event/usage";
import { instance } from "#core/instance/instance.sql";
import { log } from "#core/log";
import { quota, quotaUsage, type Resource } from "#core/quota/quota.sql";
import { stamp } from "#core/stamp";

/** Told in one transaction at most: a row's lock is held that long. */
const CHUNK = 500;
/** Periods that are made up for after nothing ran; older ones are left out, and said to be. */
const LATE_PERIODS = 24;

interface Period {
  from: Date;
  until: Date;
}

/** Tells what comes after a key, at most `CHUNK` of it; answers the key of the last one, or undefined when nothing is left. */
type Chunk = (period: Period, after: string | null) => Promise<{ count: number; last: string | undefined }>;

/**
 * Tells of every instance once for each period of `periodSeconds` that is over (`trove.instance.exists`, contract §8.5), however many
 * processes try: the row that says how far they are is locked, and moves with what is told. Periods begin at
 * multiples since 1970, UTC. Goes on where it was stopped, for at most `seconds`. Returns how many events it made.
 */
export const tellExisting = (periodSeconds: number, seconds = 20): Promise<number> => tellEach("exists", periodSeconds, seconds, existing);

/** Tells likewise what every project has in use, and may have at most (`dbaas.quota`); -1 = as much as it likes. */
export const tellQuotas = (periodSeconds: number, defaults: Record<Resource, number>, seconds = 20): Promise<number> =>
  tellEach("quota", periodSeconds, seconds, (_, after) => used(defaults, after));

async function tellEach(kind: "exists" | "quota", periodSeconds: number, seconds: number, chunk: Chunk): Promise<number> {
  const until = now().getTime() + seconds * 1000;
  const begin = new Date(Math.floor(now().getTime() / 1000 / periodSeconds) * periodSeconds * 1000);
  await transaction((tx) => tx.insert(audit).values({ kind, toldUntil: begin }).onConflictDoNothing());
  for (let count = 0; ; ) {
    const made = await transaction(() => next(kind, periodSeconds * 1000, chunk));
    if (made === undefined) return count;
    count += made;
    if (now().getTime() >= until) return count;
  }
}

/** One chunk, in the open transaction; undefined when no period is over, or another process is at it. */
async function next(kind: "exists" | "quota", periodMs: number, chunk: Chunk): Promise<number | undefined> {
  const [row] = await inside().select().from(audit).where(eq(audit.kind, kind)).for("update", { skipLocked: true });
  if (!row) return undefined;
  const over = Math.floor((now().getTime() - row.toldUntil.getTime()) / periodMs);
  if (over < 1) return undefined;
  if (over > LATE_PERIODS) log.error("periods are not told of", { kind, count: over - LATE_PERIODS });
  const skipped = Math.max(0, over - LATE_PERIODS) * periodMs;
  const from = new Date(row.toldUntil.getTime() + skipped);
  const until = new Date(from.getTime() + periodMs);
  const { count, last } = await chunk({ from, until }, skipped > 0 ? null : row.after);
  const far = last === undefined ? { toldUntil: until, after: null } : { toldUntil: from, after: last };
  await inside().update(audit).set(far).where(eq(audit.kind, kind));
  return count;
}

const zulu = (at: Date) => `${stamp(at)}Z`;

/** Instances that were there in the period and still are. */
const existing: Chunk = async ({ from, until }, after) => {
  const rows = await measured(and(isNull(instance.deletedAt), lt(instance.createdAt, until), after === null ? undefined : gt(instance.id, after)), CHUNK);
  for (const one of rows) {
    const payload = { ...traitsOf(one), display_name: one.row.name, audit_period_beginning: zulu(from), audit_period_ending: zulu(until) };
    await record({ projectId: one.row.projectId, stream: one.row.id, type: "trove.instance.exists", publisher: "taskmanager", payload });
  }
  return { count: rows.length, last: rows.length === CHUNK ? rows.at(-1)?.row.id : undefined };
};

async function used(defaults: Record<Resource, number>, after: string | null) {
  const [project, name] = after === null ? [] : (JSON.parse(after) as [string, string]);
  const rows = await inside()
    .select({ projectId: quotaUsage.projectId, resource: quotaUsage.resource, inUse: quotaUsage.inUse, limit: quota.hardLimit })
    .from(quotaUsage)
    .leftJoin(quota, and(eq(quota.projectId, quotaUsage.projectId), eq(quota.resource, quotaUsage.resource)))
    .where(after === null ? undefined : sql`(${quotaUsage.projectId}, ${quotaUsage.resource}) > (${project}, ${name})`)
    .orderBy(asc(quotaUsage.projectId), asc(quotaUsage.resource))
    .limit(CHUNK);
  for (const { projectId, resource, inUse, limit } of rows) {
    // Nothing is reserved here: what is charged is in use.
    const payload = { resource, in_use: inUse, reserved: 0, limit: limit ?? defaults[resource], updated: stamp(now()), tenant_id: projectId };
    await record({ projectId, stream: projectId, type: "dbaas.quota", publisher: "taskmanager", payload });
  }
  const last = rows.at(-1);
  return { count: rows.length, last: rows.length === CHUNK && last ? JSON.stringify([last.projectId, last.resource]) : undefined };
}
