import { STEP_SECONDS } from "#core/workflow/context";
import type { Workflow } from "#core/workflow/define";

/**
 * A workflow as a state machine of AWS Step Functions (Amazon States Language, JSONPath), for
 * `JSON.stringify`. Per label a Task of the label's name, a Choice on what the step answered and a
 * Wait. The database decides which label runs: a Task names its label, and a step that finds the run
 * elsewhere does nothing and answers where to go, so what the console shows is what is done. A label
 * that this document does not know, of a version beside it, runs in a Task that names none.
 *
 * What is carried from state to state is the operation's id, its run, and the last answer.
 */
export interface Machine {
  Comment: string;
  StartAt: string;
  TimeoutSeconds: number;
  States: Record<string, State>;
}

type State = Task | Choice | Wait | Succeed | Fail;

interface Task {
  Type: "Task";
  Comment?: string;
  Resource: string;
  TimeoutSeconds: number;
  Parameters: Record<string, string>;
  ResultPath: string;
  Retry: object[];
  Catch: object[];
  Next: string;
}
interface Choice {
  Type: "Choice";
  Comment?: string;
  Choices: Rule[];
  Default: string;
}
interface Wait {
  Type: "Wait";
  SecondsPath: string;
  Next: string;
}
interface Succeed {
  Type: "Succeed";
  Comment: string;
}
interface Fail {
  Type: "Fail";
  Comment: string;
  Error: string;
  Cause: string;
}
interface Test {
  Variable: string;
  StringEquals: string;
}
type Rule = (Test | { Not: Test } | { Or: Test[] }) & { Next: string };

/** No execution outlives this: polls every 15 s for so long stay under the history's 25,000 events. */
export const MACHINE_SECONDS = 8 * 3600;

/** Of the step function, not of the label: the database is away, the function was stopped or throttled. 5 minutes on average, 10 at most. */
const RETRY = { IntervalSeconds: 1, BackoffRate: 2, MaxDelaySeconds: 60, MaxAttempts: 15, JitterStrategy: "FULL" };

/** Error name of a task input that no repetition makes right. */
export const BAD_TASK = "BadTask";

/** States beside the labels; a label has no space in its name. */
export const ELSEWHERE = "another label";
export const UNKNOWN = "label of another version";
export const ENDED = "run ended";
export const NOT_CARRIED = "not carried";
export const answered = (state: string) => `after ${state}`;
export const waits = (state: string) => `${state} waits`;

/**
 * The document of one workflow. `resource` is the ARN of the function that runs
 * `functions/workflow`. The same workflow gives the same document.
 */
export function render({ kind, first, options, labels }: Workflow, resource: string): Machine {
  const names = Object.keys(labels);
  for (const name of names) {
    if (!/^[a-z][a-z0-9_]{0,59}$/.test(name)) throw new Error(`workflow ${kind}: label '${name}' must be lower case letters, digits and _, at most 60`);
  }
  const states: [string, State][] = [
    ...names.flatMap((name, index) => {
      const following = names[index + 1];
      return looking(name, task(resource, options.about?.[name], name), following === options.rollback ? undefined : following);
    }),
    [
      ELSEWHERE,
      {
        Type: "Choice",
        Comment: "Any label but the one that follows: into a rollback, or where the run was brought meanwhile.",
        Choices: names.map((name) => ({ ...is("label", name), Next: name })),
        Default: UNKNOWN,
      },
    ],
    ...looking(UNKNOWN, task(resource, "Runs a label that this version of the machine has no state for.")),
    [ENDED, { Type: "Succeed", Comment: "The operation's row has its outcome, be it a good one or not." }],
    [
      NOT_CARRIED,
      {
        Type: "Fail",
        Comment: "The operation's row has no outcome: the run has to be carried again.",
        Error: "NotCarried",
        Cause: "The function that runs labels failed again and again, or gave an answer that is none.",
      },
    ],
  ];
  return { Comment: `${kind}: ${options.comment}`, StartAt: first, TimeoutSeconds: MACHINE_SECONDS, States: Object.fromEntries(states) };
}

/** A task with what follows it. The usual successor is drawn as an arrow of its own. */
function looking(name: string, task: Omit<Task, "Next">, successor?: string): [string, State][] {
  // A path that leads nowhere fails an execution: `label` is read only where the answer is `go`.
  const choices: Rule[] = [
    { ...is("next", "end"), Next: ENDED },
    { Or: [is("next", "wait"), is("next", "busy")], Next: waits(name) },
    { Not: is("next", "go"), Next: NOT_CARRIED },
    ...(successor ? [{ ...is("label", successor), Next: successor }] : []),
  ];
  return [
    [name, { ...task, Next: answered(name) }],
    [answered(name), { Type: "Choice", Choices: choices, Default: ELSEWHERE }],
    [waits(name), { Type: "Wait", SecondsPath: "$.result.seconds", Next: name }],
  ];
}

const is = (field: "next" | "label", value: string): Test => ({ Variable: `$.result.${field}`, StringEquals: value });

const task = (resource: string, comment: string | undefined, label?: string): Omit<Task, "Next"> => ({
  Type: "Task",
  ...(comment && { Comment: comment }),
  Resource: resource,
  TimeoutSeconds: STEP_SECONDS,
  Parameters: { "operationId.$": "$.operationId", "run.$": "$.run", ...(label && { label }) },
  ResultPath: "$.result",
  Retry: [
    { ErrorEquals: [BAD_TASK], MaxAttempts: 0 },
    { ErrorEquals: ["States.ALL"], ...RETRY },
  ],
  Catch: [{ ErrorEquals: ["States.ALL"], ResultPath: "$.error", Next: NOT_CARRIED }],
});
