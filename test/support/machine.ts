import { StateMachine, type StateMachineDefinition } from "aws-local-stepfunctions";
import { describe } from "#core/error";
import type { Machine } from "#core/workflow/asl";
import type { StepInput, StepResult } from "#core/workflow/step";

// The interpreter is written for Node 22.
if (!("withResolvers" in Promise)) {
  Object.assign(Promise, {
    withResolvers() {
      let settle = {};
      const promise = new Promise((resolve, reject) => (settle = { resolve, reject }));
      return { promise, ...settle };
    },
  });
}

export interface Execution {
  /** The state it ended in, or why it ended elsewhere. */
  end: string;
  /** Every state, in the order they were entered. */
  states: string[];
  /** What the Wait states were told, seconds. */
  waits: number[];
  /** Events a standard execution's history would hold. */
  history: number;
}

/** An execution that calls its function more often runs in a circle, and is aborted. */
const MOST_CALLS = 700;

const machines = new WeakMap<Machine, StateMachine>();

/**
 * Runs a rendered document by an interpreter of its own. Waits and pauses between retries take
 * no time; `task` is what the function behind every Task does, given its input as JSON.
 */
export async function execute(document: Machine, input: StepInput, task: (event: unknown) => Promise<StepResult>): Promise<Execution> {
  let calls = 0;
  const call = async (event: unknown) => {
    if (++calls > MOST_CALLS) abort();
    return JSON.parse(JSON.stringify(await task(JSON.parse(JSON.stringify(event))))) as never;
  };
  // Validating takes the interpreter long; the validator has a test of its own.
  const machine = machines.get(document) ?? new StateMachine(structuredClone(document) as unknown as StateMachineDefinition, { validationOptions: { noValidate: true } });
  machines.set(document, machine);
  const named = (type: string) => Object.entries(document.States).flatMap(([name, state]) => (state.Type === type ? [name] : []));
  const each = <T>(type: string, value: T) => Object.fromEntries(named(type).map((name) => [name, value]));
  const { result, eventLogs, abort } = machine.run(JSON.parse(JSON.stringify(input)) as never, {
    overrides: {
      taskResourceLocalHandlers: each("Task", call),
      waitTimeOverrides: each("Wait", 0),
      retryIntervalOverrides: each("Task", 0),
    },
  });
  const failed = result.then(() => undefined, (error: unknown) => error);
  const states: string[] = [];
  const waits: number[] = [];
  let events = 0;
  for await (const event of eventLogs) {
    if (event.type === "StateEntered") {
      states.push(event.state.name);
      if (event.state.type === "Wait") waits.push((event.state.input as { result: { seconds: number } }).result.seconds);
    }
    if (/^(Execution|StateEntered|StateExited)/.test(event.type)) events++;
  }
  const error = await failed;
  const last = states.at(-1) ?? "";
  const end = error === undefined || document.States[last]?.Type === "Fail" ? last : describe(error);
  // A call of a function is scheduled, started, and succeeds or fails.
  return { end, states, waits, history: events + 3 * calls };
}
