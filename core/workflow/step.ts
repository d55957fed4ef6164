import { and, eq, gt, isNull, lt, or, sql, type SQL } from "drizzle-orm";
import { ambient, now, within } from "#core/context";
import { read, transaction } from "#core/db/index";
import { AppError, describe } from "#core/error";
import { Crash, failpoint } from "#core/failpoint";
import { instance } from "#core/instance/instance.sql";
import { log } from "#core/log";
import { begin, START, type Kind, type Operation } from "#core/operation/index";
import { operation, operationStep, type Failure, type Outcome } from "#core/operation/operation.sql";
import { call, LEASE_SECONDS, type Context, type Workshop } from "#core/workflow/context";
import type { Next, Patch, Workflow } from "#core/workflow/define";
import { workflows } from "#core/workflow/index";
import { tell } from "#core/workflow/tell";
import { paced, POLL_CEILING_SECONDS, waitedSeconds } from "#core/workflow/pace";

/** Failures of one label in a row before the run gives up. */
const ATTEMPTS = 6;
/** Back-off between them, seconds: doubling from half a second, jittered. */
const BACKOFF_CEILING = 15;
/** A rollback gets this long, however late the run was when it began. */
const ROLLBACK_MINUTES = 10;

export interface StepInput {
  operationId: string;
  run: number;
}

export interface StepTask extends StepInput {
  /**
   * The label that the asking state of a state machine stands for. Where the run stands elsewhere
   * nothing is done, and the answer sends the machine to that label's state. Absent: whichever is next.
   */
  label?: string;
}

/** What the orchestrator does next, seconds whole. `busy`: another worker holds the lease. */
export type StepResult =
  | { next: "go"; label: string }
  | { next: "wait"; label: string; seconds: number }
  | { next: "busy"; seconds: number }
  | { next: "end"; outcome: Outcome | "superseded" };

/**
 * Runs one label of one run: claim, look at the intent, do the effect, commit progress. Any
 * number of workers may call it at any time; the lease lets one through, and its generation
 * refuses the writes of one that lost it. `worker` names the caller in the lease.
 */
export async function step({ operationId, run, label: asked }: StepTask, workshop: Workshop, worker: string): Promise<StepResult> {
  const claimed = await claim(operationId, run, worker);
  if ("next" in claimed) return claimed;
  return within({ operationId, instanceId: claimed.instanceId }, async () => {
    const workflow: Workflow | undefined = workflows[claimed.kind as Kind];
    if (!workflow) {
      log.warn("unknown kind of operation", { kind: claimed.kind });
      return handBack(claimed, { next: "busy", seconds: POLL_CEILING_SECONDS });
    }
    const label = claimed.label === START ? workflow.first : claimed.label;
    if (asked !== undefined && asked !== label) return handBack(claimed, { next: "go", label });
    const [found] = await read((tx) => tx.select().from(instance).where(eq(instance.id, claimed.instanceId)));
    if (!found) throw new Error(`operation ${operationId} names an unknown instance`);
    const c: Context = { ...workshop, operation: claimed, instance: found, call };
    const started = now();

    const action = workflow.labels[label];
    const interrupted = interruption(c, action !== undefined);
    if (interrupted) return interrupt(c, workflow, label, interrupted);
    if (!action) return unknown(c, label, started);
    await failpoint(`${claimed.kind}.${label}.before`);
    let next: Next<string>;
    try {
      next = await action(c);
    } catch (error) {
      if (error instanceof Crash) throw error;
      return failed(c, workflow, label, started, error);
    }
    await failpoint(`${claimed.kind}.${label}.effect`);
    const result = await progress(c, workflow, label, started, next);
    await failpoint(`${claimed.kind}.${label}.committed`);
    return result;
  });
}

async function claim(operationId: string, run: number, worker: string): Promise<Operation | StepResult> {
  const at = now();
  const [row] = await transaction((tx) =>
    tx
      .update(operation)
      .set({
        leaseOwner: worker,
        leaseUntil: new Date(at.getTime() + LEASE_SECONDS * 1000),
        leaseGeneration: sql`${operation.leaseGeneration} + 1`,
      })
      .where(
        and(
          eq(operation.id, operationId),
          eq(operation.run, run),
          isNull(operation.outcome),
          or(isNull(operation.leaseUntil), lt(operation.leaseUntil, at)),
        ),
      )
      .returning(),
  );
  if (row) return row;
  const [seen] = await read((tx) => tx.select().from(operation).where(eq(operation.id, operationId)));
  // A message can arrive before its commit is visible; the caller looks again.
  if (!seen) return { next: "busy", seconds: 2 };
  if (seen.run !== run) return { next: "end", outcome: "superseded" };
  if (seen.outcome) return { next: "end", outcome: seen.outcome };
  const left = seen.leaseUntil ? (seen.leaseUntil.getTime() - at.getTime()) / 1000 : 0;
  return { next: "busy", seconds: Math.max(1, Math.ceil(left)) };
}

/** Gives a claim back with nothing done. */
async function handBack(run: Operation, answer: StepResult): Promise<StepResult> {
  const rows = await transaction((tx) =>
    tx.update(operation).set({ leaseOwner: null, leaseUntil: null }).where(mine({ operation: run })).returning({ id: operation.id }),
  );
  return rows.length > 0 ? answer : lost({ operation: run }, run.label);
}

/**
 * Another version of this code, which runs beside it or ran before it, has brought the run to a
 * label that this one does not know. It is left to the one that does, until the run's deadline.
 */
async function unknown(c: Context, label: string, started: Date): Promise<StepResult> {
  const error = `This version has no step '${label}'.`;
  log.warn("unknown label", { kind: c.operation.kind, label });
  return commit(c, label, started, { outcome: "error", error }, { label, attempt: c.operation.attempt, seconds: POLL_CEILING_SECONDS });
}

/** Why the run may not go on as it was, if it may not. */
function interruption({ operation: run, instance: on }: Context, known: boolean): Failure | undefined {
  const at = run.label;
  if (on.desired === "absent" && run.kind !== "destroy") return { code: "deleted", label: at, message: "The instance is being deleted." };
  if (run.failure) {
    const late = now() > run.deadline;
    return late ? { ...run.failure, message: `${run.failure.message} Going back did not end in time either.` } : undefined;
  }
  if (run.cancelRequested && run.kind !== "destroy") return { code: "cancelled", label: at, message: "It was cancelled by reset_status." };
  if (now() > run.deadline) {
    const time = `within ${Math.round((run.deadline.getTime() - run.createdAt.getTime()) / 60_000)} minutes`;
    return {
      code: "deadline",
      label: at,
      message: known ? `It did not end ${time}.` : `This version has no step '${at}', and none that has it took it up ${time}.`,
      next: "See the operation's timeline for what it waited for.",
    };
  }
  return undefined;
}

/** Ends the run, or sends it into its rollback if it has one that is still worth doing. */
async function interrupt(c: Context, workflow: Workflow, label: string, why: Failure): Promise<StepResult> {
  const { rollback } = workflow.options;
  const outcome: Outcome = why.code === "cancelled" || why.code === "deleted" ? "cancelled" : "failed";
  if (rollback && !c.operation.failure && why.code !== "deleted" && c.operation.label !== START) {
    return turnBack(c, rollback, label, now(), why, outcome === "cancelled" ? "cancelled" : "error");
  }
  return finish({ ...c, operation: { ...c.operation, failure: why } }, workflow, label, now(), outcome, why.message);
}

async function failed(c: Context, workflow: Workflow, label: string, started: Date, error: unknown): Promise<StepResult> {
  const { operation: run } = c;
  const attempt = run.attempt + 1;
  const final = error instanceof AppError && error.final;
  log.warn("step failed", { kind: run.kind, label, attempt, error: describe(error), final });
  if (!final && attempt < ATTEMPTS) {
    const seconds = Math.ceil(Math.min(2 ** run.attempt / 2, BACKOFF_CEILING) * (0.5 + ambient().random.number() / 2));
    return commit(c, label, started, { outcome: "error", error: describe(error) }, { label, attempt, seconds });
  }
  const why: Failure = {
    code: error instanceof AppError ? error.reason : "unexpected",
    label,
    message: error instanceof AppError ? error.message : `The step failed ${attempt} times: ${describe(error)}`,
    ...(error instanceof AppError && error.next && { next: error.next }),
  };
  const { rollback } = workflow.options;
  if (rollback && !run.failure) return turnBack(c, rollback, label, started, why, "error");
  return finish({ ...c, operation: { ...run, failure: run.failure ?? why } }, workflow, label, started, "failed", describe(error));
}

function turnBack(c: Context, to: string, label: string, started: Date, why: Failure, outcome: "error" | "cancelled") {
  const deadline = new Date(now().getTime() + ROLLBACK_MINUTES * 60_000);
  return commit(c, label, started, { outcome, error: why.message }, { label: to, attempt: 0, seconds: 0, failure: why, deadline });
}

async function progress(c: Context, workflow: Workflow, label: string, started: Date, next: Next<string>): Promise<StepResult> {
  switch (next.kind) {
    case "go":
      return commit(c, label, started, { outcome: "go" }, { label: next.label, attempt: 0, seconds: 0, ...(next.patch && { patch: next.patch }) });
    case "wait": {
      const seconds = paced(next.seconds, await waitedSeconds(c, label));
      return commit(c, label, started, { outcome: "wait" }, { label, attempt: c.operation.attempt, seconds, ...(next.deadline && { deadline: next.deadline }) });
    }
    case "done": {
      const { failure } = c.operation;
      const outcome = !failure ? "done" : failure.code === "cancelled" ? "cancelled" : "failed";
      return finish(c, workflow, label, started, outcome, undefined, next.patch);
    }
  }
}

interface Move {
  label: string;
  attempt: number;
  seconds: number;
  patch?: Patch;
  failure?: Failure;
  deadline?: Date;
}

/** Progress and its trace in one transaction, refused if the lease was lost meanwhile. */
async function commit(c: Context, label: string, started: Date, trace: Trace, move: Move): Promise<StepResult> {
  const at = now();
  const kept = await transaction(async (tx) => {
    const rows = await tx
      .update(operation)
      .set({
        label: move.label,
        attempt: move.attempt,
        wakeAt: new Date(at.getTime() + move.seconds * 1000),
        leaseOwner: null,
        leaseUntil: null,
        updatedAt: at,
        ...(move.failure && { failure: move.failure }),
        ...(move.deadline && { deadline: move.deadline }),
      })
      .where(mine(c))
      .returning({ id: operation.id });
    if (rows.length === 0) return false;
    await record(c, label, started, trace);
    if (move.patch) await patchInstance(c, move.patch);
    return true;
  });
  if (!kept) return lost(c, label);
  if (trace.outcome !== "wait") log.info("hopped", { kind: c.operation.kind, from: label, to: move.label, ms: at.getTime() - started.getTime() });
  return move.seconds > 0 || move.label === label
    ? { next: "wait", label: move.label, seconds: move.seconds }
    : { next: "go", label: move.label };
}

async function finish(
  c: Context,
  workflow: Workflow,
  label: string,
  started: Date,
  outcome: Outcome,
  error?: string,
  patch: Patch = {},
): Promise<StepResult> {
  const at = now();
  const kept = await transaction(async (tx) => {
    const rows = await tx
      .update(operation)
      .set({ outcome, finishedAt: at, updatedAt: at, leaseOwner: null, leaseUntil: null, failure: c.operation.failure })
      .where(mine(c))
      .returning({ id: operation.id });
    if (rows.length === 0) return false;
    await record(c, label, started, { outcome: outcome === "failed" ? "error" : outcome, ...(error && { error }) });
    const end = await workflow.options.settle(c, outcome);
    // The intent may have changed while the label ran: the row, not our copy, tells.
    const [row] = await tx
      .update(instance)
      .set({ ...patch, ...end, ...(await keptByDelete(c)), updatedAt: at, version: sql`${instance.version} + 1` })
      .where(and(eq(instance.id, c.instance.id), isNull(instance.deletedAt)))
      .returning({ desired: instance.desired });
    await tell(c, outcome, error);
    if (row?.desired === "absent" && c.operation.kind !== "destroy") {
      await begin({ instanceId: c.instance.id, projectId: c.operation.projectId, kind: "destroy" });
    }
    return true;
  });
  if (!kept) return lost(c, label);
  log.info("operation ended", { kind: c.operation.kind, outcome, ms: at.getTime() - c.operation.createdAt.getTime() });
  return { next: "end", outcome };
}

/** An accepted DELETE owns the task: the end of an older run may not overwrite it. */
async function keptByDelete(c: Context): Promise<Patch> {
  if (c.operation.kind === "destroy") return {};
  const [row] = await transaction((tx) =>
    tx.select({ desired: instance.desired }).from(instance).where(eq(instance.id, c.instance.id)).for("update"),
  );
  return row?.desired === "absent" ? { task: "DELETING" } : {};
}

const mine = (c: Pick<Context, "operation">) =>
  and(
    eq(operation.id, c.operation.id),
    eq(operation.run, c.operation.run),
    eq(operation.leaseGeneration, c.operation.leaseGeneration),
    isNull(operation.outcome),
  );

function lost(c: Pick<Context, "operation">, label: string): StepResult {
  log.warn("lease lost", { kind: c.operation.kind, label });
  return { next: "busy", seconds: LEASE_SECONDS };
}

interface Trace {
  outcome: "go" | "wait" | "done" | "error" | "cancelled";
  error?: string;
}

async function record(c: Context, label: string, startedAt: Date, { outcome, error }: Trace) {
  const { id: operationId, projectId, run, attempt } = c.operation;
  const after = { finishedAt: now(), outcome, error: error ?? null };
  await transaction((tx) =>
    tx
      .insert(operationStep)
      .values({ operationId, projectId, run, label, attempt, startedAt, ...after })
      .onConflictDoUpdate({
        target: [operationStep.operationId, operationStep.run, operationStep.label, operationStep.attempt],
        set: { ...after, polls: sql`${operationStep.polls} + 1` },
      }),
  );
}

async function patchInstance(c: Context, patch: Patch) {
  await transaction((tx) =>
    tx
      .update(instance)
      .set({ ...patch, updatedAt: now(), version: sql`${instance.version} + 1` })
      .where(and(eq(instance.id, c.instance.id), isNull(instance.deletedAt))),
  );
}

/**
 * Runs that nobody carries at the moment: due, and without a live lease. For the sweep, and for
 * a local start.
 */
export async function due(limit = 500): Promise<StepInput[]> {
  const at = now();
  return read((tx) =>
    tx
      .select({ operationId: operation.id, run: operation.run })
      .from(operation)
      .where(
        and(
          isNull(operation.outcome),
          lt(operation.wakeAt, at),
          or(isNull(operation.leaseUntil), lt(operation.leaseUntil, at)),
        ),
      )
      .orderBy(operation.wakeAt)
      .limit(limit),
  );
}

/** Running operations whose deadline has passed by more than a minute: something does not drive them. */
export async function overdue(): Promise<number> {
  const [row] = await read((tx) =>
    tx
      .select({ count: sql<number>`count(*)::int` })
      .from(operation)
      .where(and(isNull(operation.outcome), gt(sql`${now().toISOString()}::timestamptz - interval '1 minute'`, operation.deadline))),
  );
  return row?.count ?? 0;
}

/** Gives back what a worker holds that carries nothing any more; without this its runs wait until their leases end. Returns how many. */
export const releaseLeases = (worker: string): Promise<number> => free(eq(operation.leaseOwner, worker));

/**
 * Makes every open run due: for a start that knows all earlier workers to be dead. Without this one that was
 * between two looks would wait for the first sweep after its wake. Returns how many there are.
 */
export const takeOver = (): Promise<number> => free();

async function free(which?: SQL): Promise<number> {
  const rows = await transaction((tx) =>
    tx
      .update(operation)
      .set({ leaseOwner: null, leaseUntil: null, wakeAt: now() })
      .where(and(isNull(operation.outcome), which))
      .returning({ id: operation.id }),
  );
  return rows.length;
}
