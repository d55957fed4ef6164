import { and, eq, sql } from "drizzle-orm";
import type { Config } from "#core/config";
import postgres from "postgres";
import { inside, read } from "#core/db/index";
import { statement } from "#core/db/statement";
import { AppError } from "#core/error";
import { quota, quotaUsage, type Resource } from "#core/quota/quota.sql";

/** instances and backups a count, ram MB, volumes GB. */
export type Amounts = Partial<Record<Resource, number>>;

/** In the order of the wire; sorted by name it is the order in which rows are locked. */
export const resources = ["instances", "ram", "volumes", "backups"] as const satisfies readonly Resource[];
const lockOrder = [...resources].sort();

/** What a project may use unless an admin set something else (contract §6.1). -1 = unlimited. */
export const defaultLimits = (config: Config): Record<Resource, number> => ({
  instances: config.COFFER_MAX_INSTANCES,
  ram: config.COFFER_MAX_RAM_MB,
  volumes: config.COFFER_MAX_VOLUMES_GB,
  backups: config.COFFER_MAX_BACKUPS,
});

/** SQLSTATE of `charge_quota` (migrations) when a limit would be passed; its DETAIL lists the resources. */
const EXCEEDED = "CF001";

/**
 * Charges a project in the open transaction. Every amount is checked and added by one statement
 * under the row's lock, so concurrent requests cannot pass a limit together. Throws overLimit
 * naming every exceeded resource (contract §4.7), and fails the transaction then. What is given
 * back (a negative amount) always passes.
 */
export async function charge(projectId: string, amounts: Amounts, defaults: Record<Resource, number>): Promise<void> {
  const wanted = lockOrder.flatMap((resource) => {
    const amount = amounts[resource] ?? 0;
    return amount > 0 ? [{ resource, amount, fallback: defaults[resource] }] : [];
  });
  if (wanted.length > 0) {
    await chargeAll(inside(), { project: projectId, wanted: JSON.stringify(wanted) }).catch((error: unknown) => {
      throw overLimit(error) ?? error;
    });
  }
  await release(projectId, Object.fromEntries(lockOrder.map((one) => [one, Math.max(0, -(amounts[one] ?? 0))])));
}

const chargeAll = statement((tx) =>
  tx.select({ done: sql`charge_quota(${sql.placeholder("project")}, ${sql.placeholder("wanted")}::jsonb)` }).from(sql`(values (1)) as once`),
);

function overLimit(error: unknown): AppError | undefined {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof postgres.PostgresError) || cause.code !== EXCEEDED) return undefined;
  const exceeded = resources.filter((one) => (cause.detail ?? "").split(",").includes(one));
  return new AppError("overLimit", `Quota exceeded for resources: [${exceeded.map((one) => `'${one}'`).join(", ")}]`, {
    reason: "quota.exceeded",
    next: "Delete what is no longer needed, or ask an administrator for a higher quota.",
  });
}

/**
 * Gives back what was charged, in the open transaction; never below zero. A negative amount takes
 * back what a refused shrink had given up, without asking the limit.
 */
export async function release(projectId: string, amounts: Amounts): Promise<void> {
  for (const resource of lockOrder) {
    const amount = amounts[resource] ?? 0;
    if (amount === 0) continue;
    await inside()
      .update(quotaUsage)
      .set({ inUse: sql`greatest(0, ${quotaUsage.inUse} - ${amount}::int)` })
      .where(and(eq(quotaUsage.projectId, projectId), eq(quotaUsage.resource, resource)));
  }
}

export interface Usage {
  resource: Resource;
  inUse: number;
  /** -1 = unlimited. */
  limit: number;
}

/** Use and limit of every resource of a project. */
export async function usageOf(projectId: string, defaults: Record<Resource, number>): Promise<Usage[]> {
  const [limits, used] = await read((tx) =>
    Promise.all([
      tx.select().from(quota).where(eq(quota.projectId, projectId)),
      tx.select().from(quotaUsage).where(eq(quotaUsage.projectId, projectId)),
    ]),
  );
  return resources.map((resource) => ({
    resource,
    inUse: used.find((one) => one.resource === resource)?.inUse ?? 0,
    limit: limits.find((one) => one.resource === resource)?.hardLimit ?? defaults[resource],
  }));
}

/** Sets limits at once; they may be below what is in use (contract §5.9). */
export async function setLimits(projectId: string, limits: Amounts): Promise<void> {
  for (const resource of lockOrder) {
    const hardLimit = limits[resource];
    if (hardLimit === undefined) continue;
    await inside()
      .insert(quota)
      .values({ projectId, resource, hardLimit })
      .onConflictDoUpdate({ target: [quota.projectId, quota.resource], set: { hardLimit } });
  }
}
