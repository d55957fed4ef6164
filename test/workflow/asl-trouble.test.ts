import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createTask } from "#functions/workflow/task";
import type { Server } from "#core/driver/compute";
import type { Fault } from "#core/driver/fake/faults";
import type { JobKind } from "#core/guest/protocol";
import type { Kind } from "#core/operation/index";
import { ENDED, MACHINE_SECONDS, NOT_CARRIED, waits } from "#core/workflow/asl";
import { POLL_CEILING_SECONDS } from "#core/workflow/pace";
import { workflows } from "#core/workflow/index";
import { byDocument, byMachine, documentOf, type Step } from "#test/support/carriers";
import { carry, expectSame, runAt, type Act, type Trouble } from "#test/support/course";
import { execute } from "#test/support/machine";
import { picture } from "#test/support/picture";
import { standing, type Stand } from "#test/support/stand";
import { createWorld, type World } from "#test/support/world";

const stood = async <T>(kind: Kind, work: (stand: Stand) => Promise<T>): Promise<T> => {
  const stand = await standing(kind);
  return work(stand).finally(() => stand.close());
};
let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => world.close());
// Waiting to a deadline is hundreds of looks, which a loaded machine takes its time for.
vi.setConfig({ testTimeout: 120_000 });

const inject = (...faults: Fault[]): Act => ({ cloud }) => faults.forEach((fault) => cloud.inject(fault));
const cannot = (kind: JobKind): Act => (w) => void w.cannot.add(kind);
/** The first two answers about a server say that it is still being built. */
const building = (verb: "get" | "resize"): Act => ({ workshop }) => {
  const { compute } = workshop;
  let left = 2;
  const shown = <S extends Server | undefined>(server: S): S => (server && left-- > 0 ? { ...server, state: "BUILD" } : server);
  workshop.compute =
    verb === "get"
      ? { ...compute, get: async (id, call) => shown(await compute.get(id, call)) }
      : { ...compute, resize: async (id, flavor, call) => shown(await compute.resize(id, flavor, call)) };
};

interface Case extends Trouble {
  kind: Kind;
  outcome: "done" | "failed";
  /** A state that has to be entered for the case to mean something. */
  through: string;
}
const cases: Case[] = [
  {
    kind: "create",
    name: "calls fail a few times",
    first: inject({ on: "volume.create", kind: "after", times: 2 }, { on: "port.create", kind: "before", times: 3 }, { on: "server.create", kind: "throttle", times: 2 }),
    outcome: "done",
    through: waits("port"),
  },
  { kind: "create", name: "a call fails six times", first: inject({ on: "port.create", kind: "before", times: 6 }), outcome: "failed", through: waits("port") },
  { kind: "create", name: "the server takes its time", first: building("get"), outcome: "done", through: waits("boot") },
  { kind: "create", name: "the server does not boot", first: inject({ on: "server.boot", kind: "before" }), outcome: "failed", through: "boot" },
  { kind: "create", name: "the guest cannot prepare", first: cannot("prepare"), outcome: "failed", through: "prepare" },
  {
    kind: "destroy",
    name: "calls fail a few times",
    first: inject({ on: "server.remove", kind: "after", times: 2 }, { on: "port.find", kind: "throttle" }, { on: "volume.remove", kind: "before", times: 3 }),
    outcome: "done",
    through: waits("volume"),
  },
  { kind: "destroy", name: "a call fails six times", first: inject({ on: "port.remove", kind: "before", times: 6 }), outcome: "failed", through: waits("port") },
  {
    kind: "destroy",
    name: "what was removed shows for a while",
    first: (w, id) => {
      w.clock.advance(60_000);
      return inject({ on: "volume.find", kind: "stale", ms: 1, times: 2 })(w, id);
    },
    outcome: "done",
    through: waits("volume"),
  },
  { kind: "restart", name: "the guest cannot restart", first: cannot("restart"), outcome: "failed", through: waits("engine") },
  { kind: "resize_flavor", name: "the server takes its time", first: building("resize"), outcome: "done", through: waits("server") },
  { kind: "resize_flavor", name: "the guest cannot configure", first: cannot("configure"), outcome: "failed", through: "revert_engine" },
  {
    kind: "resize_flavor",
    name: "the guest is silent until both deadlines",
    first: (w) => w.silence(true),
    outcome: "failed",
    through: waits("revert_engine"),
  },
  { kind: "resize_volume", name: "the guest cannot grow the file system", first: cannot("grow_volume"), outcome: "failed", through: waits("file_system") },
  { kind: "update_access", name: "the guest cannot set access", first: cannot("access"), outcome: "failed", through: waits("engine") },
];

test.each(cases)("$kind where $name: the machine ends as the runner does", async ({ kind, outcome, through, ...trouble }) => {
  const { seen, executions } = await stood(kind, (stand) => expectSame(stand, trouble));
  expect(seen.operations.find((operation) => operation.kind === kind)?.outcome).toBe(outcome);
  expect(executions.get(kind)?.states).toContain(through);
});

test("a function that fails for good ends the execution, not the run: carried again, it ends as ever", async () => {
  const id = await world.create();
  const run = await runAt(world, id);
  if (!run) throw new Error("nothing runs");
  let calls = 0;
  const broken: Step = () => {
    calls++;
    return Promise.reject(new Error("no function"));
  };
  const execution = await byMachine(world, run, broken);
  expect(execution).toMatchObject({ end: NOT_CARRIED, states: ["volume", NOT_CARRIED] });
  expect(calls).toBe(16);
  expect(await runAt(world, id)).toEqual(run);
  await carry(world, byMachine, id);
  expect(await world.row(id)).toMatchObject({ task: "NONE", serviceStatus: "healthy" });
});

test("a function whose answer does not come in time is called again, and nothing is done twice", async () => {
  const document = structuredClone(documentOf(workflows.create));
  for (const state of Object.values(document.States)) if (state.Type === "Task") state.TimeoutSeconds = 1;
  const id = await world.create();
  const hung: string[] = [];
  const around = (step: Step): Step => async (task) => {
    const result = await step(task);
    if (task.label !== "server" || hung.length > 0) return result;
    hung.push(task.label);
    return new Promise(() => {});
  };
  const execution = (await carry(world, byDocument(document), id, around)).get("create");
  expect(hung).toEqual(["server"]);
  expect(execution?.end).toBe(ENDED);
  const { operations, cloud } = await picture(world, id);
  expect(operations[0]?.steps.map(({ label, outcome }) => [label, outcome])).toEqual([["volume", "go"], ["port", "go"], ["server", "go"], ["boot", "go"], ["prepare", "done"]]);
  expect([cloud.servers.length, cloud.volumes.length, cloud.ports]).toEqual([1, 1, 1]);
});

test("an input that no machine sends is refused once, with field and rule, and not repeated", async () => {
  const step: Step = () => Promise.reject(new Error("not reached"));
  const task = createTask(step);
  await expect(task({ operationId: "x", run: 0, password: "p" })).rejects.toMatchObject({ name: "BadTask", message: expect.stringMatching(/password[^]*operationId[^]*run|operationId[^]*run[^]*password/) as string });
  let calls = 0;
  const execution = await execute(documentOf(workflows.restart), { operationId: "x", run: 1 }, (event) => (calls++, task(event)));
  expect([execution.end, calls]).toEqual([NOT_CARRIED, 1]);
});

test("what a failed step leaves in an execution's history has no parameters of a query", async () => {
  const query = new Error("Failed query: update guest set token_hash = $1\nparams: secret", { cause: new Error("connection lost") });
  const failing = createTask(() => Promise.reject(query));
  const thrown = await failing({ operationId: "00000000-0000-4000-8000-000000000000", run: 1 }).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(Error);
  expect(String((thrown as Error).stack) + String((thrown as Error).cause)).not.toContain("secret");
  expect((thrown as Error).message).toBe("connection lost");
});

test("a wait of two hours, and the longest an execution may last, stay far under 25,000 events of history", async () => {
  const id = await world.create();
  await world.db.owner`update operation set deadline = ${new Date(world.clock.now().getTime() + 7_200_000)} where instance_id = ${id}`;
  world.silence(true);
  const execution = (await carry(world, byMachine, id)).get("create");
  world.silence(false);
  if (!execution) throw new Error("no execution");
  const { history, waits: seconds, end } = execution;
  const waited = seconds.reduce((sum, one) => sum + one, 0);
  console.info(`history of a wait of ${waited} s: ${history} events, ${seconds.length} looks`);
  expect(end).toBe(ENDED);
  expect(waited).toBeGreaterThanOrEqual(7200);
  expect(seconds.slice(0, 3)).toEqual([5, 5, 5]);
  expect(Math.max(...seconds)).toBe(POLL_CEILING_SECONDS);
  expect(seconds).toEqual(seconds.toSorted((a, b) => a - b));
  expect(history).toBeLessThan(6000);
  const perLook = history / seconds.length;
  expect((MACHINE_SECONDS / POLL_CEILING_SECONDS) * perLook).toBeLessThan(20_000);
});
