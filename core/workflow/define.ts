import type { instance } from "#core/instance/instance.sql";
import type { Kind } from "#core/operation/index";
import type { Outcome } from "#core/operation/operation.sql";
import type { Context } from "#core/workflow/context";

/** Columns of the instance that a label or an end changes, committed with the progress of the run. */
export type Patch = Partial<Omit<typeof instance.$inferInsert, "id" | "projectId" | "version" | "desired">>;

export type Next<L extends string> =
  | { kind: "go"; label: L; patch?: Patch }
  | { kind: "wait"; seconds: number; deadline?: Date }
  | { kind: "done"; patch?: Patch };

export const go = <L extends string>(label: L, patch?: Patch): Next<L> => ({ kind: "go", label, ...(patch && { patch }) });
/** Look again after `seconds`; whoever can wake the run earlier may. `deadline` is the run's from now on: progress moves it. */
export const wait = (seconds: number, deadline?: Date): Next<never> => ({ kind: "wait", seconds, ...(deadline && { deadline }) });
export const done = (patch?: Patch): Next<never> => ({ kind: "done", ...(patch && { patch }) });

export type Label<L extends string = string> = (c: Context) => Promise<Next<L>>;

export interface Options<L extends string> {
  /** What the run does, for timelines and rendered state machines. */
  comment: string;
  /** What a label does, one sentence, for whoever looks at the rendered state machine. */
  about?: { readonly [K in L]?: string };
  /**
   * Where a run goes that failed or was cancelled: labels that bring back the last good shape.
   * Absent: nothing to bring back.
   */
  rollback?: L;
  /**
   * The instance when the run ends; committed with the end. Runs inside that transaction, so it
   * may settle quotas there, but calls nothing external.
   */
  settle(c: Context, outcome: Outcome): Promise<Patch> | Patch;
}

export interface Workflow {
  kind: Kind;
  first: string;
  options: Options<string>;
  labels: Readonly<Record<string, Label>>;
}

/**
 * A workflow is a record of labels. Each reads fresh state, does one effect that may be repeated,
 * and says what comes next; a target that is not a label does not compile. The first label in the
 * record is where a run starts.
 */
export function define<L extends string>(
  kind: Kind,
  options: Options<NoInfer<L>>,
  labels: { [K in L]: (c: Context) => Promise<Next<NoInfer<L>>> },
): Workflow {
  const [first] = Object.keys(labels);
  if (!first) throw new Error(`workflow ${kind} has no label`);
  return { kind, first, options, labels };
}
