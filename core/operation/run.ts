import { and, eq, isNull, lt, or, sql } from "drizzle-orm";
import { now } from "#core/context";
import { read, transaction } from "#core/db/index";
import { operation, type Outcome } from "#core/operation/operation.sql";

export interface Run {
  operationId: string;
  run: number;
}

/** Where an operation stands; undefined while no transaction that made it is visible. */
export async function standing(operationId: string): Promise<{ kind: string; run: number; outcome: Outcome | null } | undefined> {
  const [row] = await read((tx) =>
    tx
      .select({ kind: operation.kind, run: operation.run, outcome: operation.outcome })
      .from(operation)
      .where(eq(operation.id, operationId)),
  );
  return row;
}

/**
 * Raises the run of an operation whose present one is carried by nobody any more: its execution
 * has closed and the row has not. The new run goes on at the label, with the deadline and the
 * failure that the old one had. Answers the new run; undefined when the row has ended or moved
 * meanwhile, or when a worker of the old run still holds its lease, which is at most seconds away
 * from its end.
 */
export async function rerun({ operationId, run }: Run): Promise<number | undefined> {
  const at = now();
  const [row] = await transaction((tx) =>
    tx
      .update(operation)
      .set({ run: sql`${operation.run} + 1`, leaseOwner: null, leaseUntil: null, wakeAt: at, updatedAt: at })
      .where(
        and(
          eq(operation.id, operationId),
          eq(operation.run, run),
          isNull(operation.outcome),
          or(isNull(operation.leaseUntil), lt(operation.leaseUntil, at)),
        ),
      )
      .returning({ run: operation.run }),
  );
  return row?.run;
}
