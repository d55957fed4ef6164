import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Crash } from "#core/failpoint";
import { remove, resetStatus } from "#core/instance/remove";
import type { Kind } from "#core/operation/index";
import { answered, ELSEWHERE, ENDED, waits } from "#core/workflow/asl";
import type { Workflow } from "#core/workflow/define";
import { workflows } from "#core/workflow/index";
import type { Step } from "#test/support/carriers";
import { expectSame, type Act, type Trouble } from "#test/support/course";
import { extent } from "#test/support/extent";
import { standing, type Stand } from "#test/support/stand";
import type { World } from "#test/support/world";

/**
 * Every workflow under the same troubles, carried by the runner of one machine and, as a rendered
 * state machine, by an interpreter that is not ours: same labels in the same order, same end, same
 * rows. The cases come from the labels, so a new workflow is compared without a word here.
 */
const admin = { kind: "user", userId: "root", projectId: "ops", roles: ["admin"], isAdmin: true } as const;
const kinds = Object.keys(workflows) as Kind[];

const away = () => Promise.reject(new Error("the database is away"));
const odd = (one: Step, other: Step): Step => {
  let calls = 0;
  return (task) => (calls++ % 2 === 0 ? one : other)(task);
};
const cancel = (world: World, id: string) => world.as(admin, () => resetStatus(id));
const drop = async (world: World, id: string) => {
  await cancel(world, id);
  await world.as(world.tenant, () => remove(id));
};
const late = (world: World) => world.clock.advance(86_400_000);

function troubles(kind: Kind): Trouble[] {
  const { labels, options }: Workflow = workflows[kind];
  const names = Object.keys(labels);
  const forward = options.rollback ? names.slice(0, names.indexOf(options.rollback)) : names;
  const crashes: Record<string, Act> = Object.fromEntries(
    names.flatMap((label) => ["before", "effect", "committed"].map((when) => `${kind}.${label}.${when}`)).map((point) => [point, () => {
      throw new Crash(point);
    }]),
  );
  const after = (label: string, act: Act) => ({ [`${kind}.${label}.committed`]: act });
  return [
    { name: "no trouble" },
    { name: "a crash before every label, after its effect and after its commit", at: crashes },
    { name: "a function that fails before every label", around: (step) => odd(away, step) },
    { name: "answers that are lost", around: (step) => odd((task) => step(task).then(away), step) },
    { name: "a deadline that has passed at the start", first: late },
    ...extent(
      forward.map((label) => [
        { name: `a deadline that passes after ${label}`, at: after(label, late) },
        // A delete can be neither cancelled nor deleted.
        ...(kind === "destroy" ? [] : [{ name: `a cancel after ${label}`, at: after(label, cancel) }, { name: `a delete after ${label}`, at: after(label, drop) }]),
      ]),
    ),
    ...(options.rollback ? [{ name: "a cancel, then a crash at every point of the way back", at: { ...crashes, ...after(forward[0] ?? "", cancel) } }] : []),
  ];
}

const entered = new Map<Kind, Set<string>>();

describe.each(kinds)("%s", (kind) => {
  let stand: Stand;
  beforeAll(async () => {
    stand = await standing(kind);
  });
  afterAll(() => stand.close());

  test.each(troubles(kind))("$name: the machine ends as the runner does, label for label", async (trouble) => {
    const { executions } = await expectSame(stand, trouble);
    for (const [carried, { states }] of executions) entered.set(carried, new Set([...(entered.get(carried) ?? []), ...states]));
  });
});

test.each(kinds)("every label, answer and wait of %s was met above", (kind) => {
  const { labels, options }: Workflow = workflows[kind];
  const expected = [...Object.keys(labels).flatMap((label) => [label, answered(label), waits(label)]), ENDED, ...(options.rollback ? [ELSEWHERE] : [])];
  expect([...(entered.get(kind) ?? [])].sort()).toEqual(expected.sort());
});
