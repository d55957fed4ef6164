import { and, eq } from "drizzle-orm";
import { now } from "#core/context";
import { read } from "#core/db/index";
import { operationStep } from "#core/operation/operation.sql";
import type { Context } from "#core/workflow/context";

/** No look at what is awaited comes later than this after the one before, unless a label asks for it. */
export const POLL_CEILING_SECONDS = 15;

/**
 * Whole seconds until a label looks again: what it asked for, or a quarter of the time it has waited
 * already, up to the ceiling. A standard execution's history holds 25,000 events, which a look
 * every two seconds would fill within two hours; so spaced, a wait ends at most a quarter late.
 */
export function paced(wanted: number, waitedSeconds: number): number {
  return Math.ceil(Math.max(wanted, Math.min(waitedSeconds / 4, POLL_CEILING_SECONDS)));
}

/** Seconds since the present attempt of that label first looked; 0 when it never did. */
export async function waitedSeconds({ operation: { id, run, attempt } }: Pick<Context, "operation">, label: string): Promise<number> {
  const [row] = await read((tx) =>
    tx
      .select({ since: operationStep.startedAt })
      .from(operationStep)
      .where(
        and(
          eq(operationStep.operationId, id),
          eq(operationStep.run, run),
          eq(operationStep.label, label),
          eq(operationStep.attempt, attempt),
        ),
      ),
  );
  return row ? (now().getTime() - row.since.getTime()) / 1000 : 0;
}
