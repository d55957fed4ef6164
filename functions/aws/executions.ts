import { DescribeExecutionCommand, ExecutionAlreadyExists, StartExecutionCommand, type SFNClient } from "@aws-sdk/client-sfn";
import { system } from "#core/actor";
import { systemClock, type Clock } from "#core/clock";
import { enter } from "#core/context";
import type { Database } from "#core/db/index";
import { AppError } from "#core/error";
import { log } from "#core/log";
import { kinds } from "#core/operation/index";
import { rerun, standing, type Run } from "#core/operation/run";
import type { Executions } from "#core/workflow/run";

export interface ExecutionsDeps {
  /** Connected as `coffer_system`. */
  db: Database;
  client: SFNClient;
  /** Kind of operation -> ARN of its state machine. */
  machines: Readonly<Record<string, string>>;
  clock?: Clock;
}

/**
 * Runs as executions of Step Functions, each named `<operation id>-<run>`. A name that was used
 * stays taken for 90 days after its execution closed (StartExecution, API reference), so "already
 * exists" means either that the run is carried or that whatever carried it has stopped: timed
 * out, aborted, failed. In the second case, while the row has no outcome, the run is raised and the
 * operation goes on under the next name. Throws at once when a kind of operation has no machine.
 */
export function createExecutions({ db, client, machines, clock = systemClock }: ExecutionsDeps): Executions {
  const missing = kinds.filter((kind) => !machines[kind]);
  if (missing.length > 0) throw new Error(`COFFER_STATE_MACHINES: no state machine for ${missing.join(", ")}`);
  return { start: (input) => enter({ db, actor: system("executions"), clock }, () => start(input)) };

  /** Throws `itemNotFound` for an operation that cannot be seen yet: whoever asked comes again. */
  async function start({ operationId, run }: Run): Promise<void> {
    const row = await standing(operationId);
    if (!row) throw new AppError("itemNotFound", `Operation ${operationId} cannot be seen.`, { reason: "operation.unseen" });
    // A late message: the operation has ended, or goes on under another run.
    if (row.outcome || row.run !== run) return;
    const machine = machines[row.kind];
    if (!machine) throw new Error(`no state machine for ${row.kind}`);
    if (await carried(machine, { operationId, run })) return;
    const next = await rerun({ operationId, run });
    // What the guard refused is ended, carried, or due for the next sweep.
    if (next === undefined) return;
    log.warn("run begins again", { operation: operationId, run: next, kind: row.kind });
    await carried(machine, { operationId, run: next });
  }

  /** Starts the execution, or finds it: false if there was one and it is over. */
  async function carried(machine: string, { operationId, run }: Run): Promise<boolean> {
    const name = `${operationId}-${run}`;
    try {
      await client.send(new StartExecutionCommand({ stateMachineArn: machine, name, input: JSON.stringify({ operationId, run }) }));
      return true;
    } catch (error) {
      if (!(error instanceof ExecutionAlreadyExists)) throw error;
    }
    const executionArn = `${machine.replace(":stateMachine:", ":execution:")}:${name}`;
    const { status } = await client.send(new DescribeExecutionCommand({ executionArn }));
    return status === "RUNNING" || status === "PENDING_REDRIVE";
  }
}
