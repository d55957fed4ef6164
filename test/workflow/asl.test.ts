import validate from "asl-validator";
import { expect, test } from "vitest";
import type { Kind } from "#core/operation/index";
import { ELSEWHERE, ENDED, NOT_CARRIED, render, UNKNOWN, answered, waits } from "#core/workflow/asl";
import { CALL_SECONDS, LEASE_SECONDS } from "#core/workflow/context";
import { define, done } from "#core/workflow/define";
import type { Workflow } from "#core/workflow/define";
import { workflows } from "#core/workflow/index";

const STEP = "arn:aws:lambda:us-east-1:123456789012:function:coffer-step";
const all: Workflow[] = Object.values(workflows);
const documents = all.map((workflow) => ({ kind: workflow.kind, workflow, document: render(workflow, STEP) }));

test.each(documents)("$kind is a valid Amazon States Language document, and plain data", ({ document }) => {
  const copy = JSON.parse(JSON.stringify(document)) as object;
  expect(copy).toEqual(document);
  const { isValid, errorsText } = validate(copy, { checkPaths: true, checkArn: true });
  expect(errorsText("\n")).toBe("");
  expect(isValid).toBe(true);
});

test("the validator in use refuses a document with a wrong target", () => {
  const broken = JSON.parse(JSON.stringify(render(workflows.restart, STEP)).replaceAll(`"Next":"${ENDED}"`, '"Next":"nowhere"')) as object;
  expect(validate(broken, { checkPaths: true, checkArn: true }).isValid).toBe(false);
});

test.each(documents)("$kind shows each label as a state of that name, with the definition's words, and starts at the first", ({ workflow, document }) => {
  const names = Object.keys(workflow.labels);
  const own = [...names, UNKNOWN].flatMap((name) => [name, answered(name), waits(name)]);
  expect(Object.keys(document.States).sort()).toEqual([...own, ELSEWHERE, ENDED, NOT_CARRIED].sort());
  expect(document.StartAt).toBe(names[0]);
  expect(document.Comment).toContain(workflow.options.comment);
  for (const name of names) {
    const state = document.States[name];
    expect(state).toMatchObject({ Type: "Task", Resource: STEP, Parameters: { label: name } });
    expect(state && "Comment" in state ? state.Comment : undefined).toBe(workflow.options.about?.[name]);
  }
});

test.each(documents)("every task of $kind is retried and caught, stopped after its calls and before its lease, and given ids only", ({ document }) => {
  const tasks = Object.values(document.States).filter((state) => state.Type === "Task");
  expect(tasks.length).toBeGreaterThan(1);
  for (const { TimeoutSeconds, Parameters, Retry, Catch } of tasks) {
    expect(TimeoutSeconds).toBeGreaterThan(CALL_SECONDS);
    expect(TimeoutSeconds).toBeLessThan(LEASE_SECONDS);
    expect(Object.keys(Parameters).filter((name) => name !== "label")).toEqual(["operationId.$", "run.$"]);
    expect(Retry.at(-1)).toMatchObject({ ErrorEquals: ["States.ALL"], JitterStrategy: "FULL" });
    expect(Catch).toEqual([{ ErrorEquals: ["States.ALL"], ResultPath: "$.error", Next: NOT_CARRIED }]);
  }
});

test("a label whose name could be taken for another state is refused", () => {
  const odd = define("restart" satisfies Kind, { comment: "", settle: () => ({}) }, { "run ended": async () => done() });
  expect(() => render(odd, STEP)).toThrow("workflow restart: label 'run ended' must be");
});
