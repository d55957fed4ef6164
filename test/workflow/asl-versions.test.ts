import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Kind } from "#core/operation/index";
import { render, UNKNOWN } from "#core/workflow/asl";
import type { Label, Workflow } from "#core/workflow/define";
import { workflows } from "#core/workflow/index";
import { POLL_CEILING_SECONDS } from "#core/workflow/pace";
import { byDocument, byRunner } from "#test/support/carriers";
import { carry, course, runAt } from "#test/support/course";
import { standing, type Stand } from "#test/support/stand";
import { createWorld, type World } from "#test/support/world";

/**
 * Old and new code side by side: executions keep the definition they were started with and call
 * the function that is there now, and processes of two versions share one database.
 */
let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => world.close());

const kinds = Object.keys(workflows) as Kind[];
const undisturbed = { name: "no trouble" };

/** A workflow as another version has it. */
function version({ labels, ...workflow }: Workflow, change: (entries: [string, Label][]) => [string, Label][]): Workflow {
  const changed = change(Object.entries(labels));
  return { ...workflow, labels: Object.fromEntries(changed), first: changed[0]?.[0] ?? "" };
}

const FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:coffer-step";

/** Labels that another version might not have. */
function missing(kind: Kind): string[] {
  const { labels, options }: Workflow = workflows[kind];
  const names = Object.keys(labels);
  const forward = options.rollback ? names.slice(0, names.indexOf(options.rollback)) : names;
  return names.length > 1 ? forward : [];
}

describe.each(kinds)("%s", (kind) => {
  let stand: Stand;
  /** What the runner leaves of it. */
  let expected: Awaited<ReturnType<typeof course>>["seen"];
  beforeAll(async () => {
    stand = await standing(kind);
    expected = (await course(stand, byRunner, undisturbed)).seen;
  });
  afterAll(() => stand.close());

  const labels = missing(kind);
  if (labels.length > 0) {
    test.each(labels)("begun by a machine that had no label %s ends as ever", async (label) => {
      const old = version(workflows[kind], (entries) => entries.filter(([name]) => name !== label));
      const { seen, executions } = await course(stand, byDocument(render(old, FUNCTION)), undisturbed);
      expect(seen).toEqual(expected);
      expect(executions.get(kind)?.states).toContain(UNKNOWN);
    });
  }

  test("begun by a machine that has labels this code has not ends as ever", async () => {
    const none: Label = () => Promise.reject(new Error("not reached"));
    const later = version(workflows[kind], (entries) => [
      ["earlier", none],
      ...entries.flatMap((entry, index): [string, Label][] => [entry, [`between_${index}`, none]]),
    ]);
    const { seen, executions } = await course(stand, byDocument(render(later, FUNCTION)), undisturbed);
    expect(seen).toEqual(expected);
    expect(executions.get(kind)?.states[0]).toBe("earlier");
    expect(executions.get(kind)?.states).not.toContain(UNKNOWN);
  });
});

/** Runs `work` as a version of this code that lacks one label of create. */
async function without<T>(label: string, work: () => Promise<T>): Promise<T> {
  const labels = workflows.create.labels as Record<string, Label>;
  const whole = { ...labels };
  delete labels[label];
  try {
    return await work();
  } finally {
    // In their order, which the other tests read.
    for (const name of Object.keys(labels)) delete labels[name];
    Object.assign(labels, whole);
  }
}

async function createdUpTo(label: string) {
  const id = await world.create();
  const run = await runAt(world, id);
  if (!run) throw new Error("nothing runs");
  for (const before of Object.keys(workflows.create.labels)) {
    if (before === label) break;
    expect(await world.stepOnce(run)).toMatchObject({ next: "go" });
  }
  return { id, run };
}

test("a process of an older version leaves a run at a label it does not know to the newer one", async () => {
  const { id, run } = await createdUpTo("boot");
  await without("boot", async () => {
    for (let looks = 0; looks < 10; looks++) {
      expect(await world.stepOnce(run, "old")).toEqual({ next: "wait", label: "boot", seconds: POLL_CEILING_SECONDS });
    }
  });
  await carry(world, byRunner, id);
  expect(await world.row(id)).toMatchObject({ task: "NONE", serviceStatus: "healthy", faultMessage: null });
});

test("a label that no version knows ends the run at its deadline, and the timeline says why", async () => {
  const { id } = await createdUpTo("boot");
  await without("boot", () => carry(world, byRunner, id));
  const [create] = await world.operations(id);
  const why = "This version has no step 'boot', and none that has it took it up within 30 minutes.";
  expect(create).toMatchObject({ outcome: "failed", failure: { code: "deadline", label: "boot", message: why } });
  expect(create?.steps.filter(({ label }) => label === "boot").map(({ error }) => error)).toEqual([why]);
  expect((await world.row(id)).faultMessage).toContain(why);
});

test("an operation of a kind that only a newer version knows is left to it", async () => {
  const id = await world.create();
  const run = await runAt(world, id);
  if (!run) throw new Error("nothing runs");
  await world.db.owner`update operation set kind = 'defragment' where id = ${run.operationId}`;
  for (let looks = 0; looks < 3; looks++) expect(await world.stepOnce(run, "old")).toEqual({ next: "busy", seconds: POLL_CEILING_SECONDS });
  await world.db.owner`update operation set kind = 'create' where id = ${run.operationId}`;
  await carry(world, byRunner, id);
  expect(await world.row(id)).toMatchObject({ task: "NONE", serviceStatus: "healthy" });
});
