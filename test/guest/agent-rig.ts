import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { systemClock, type Clock } from "#core/clock";
import type { Engine } from "#core/engine/engine";
import { Agent } from "#core/guest/agent/agent";
import { setSink } from "#core/log";
import { MemoryEngine, World } from "#test/guest/agent-engine";
import { Plane } from "#test/guest/agent-plane";

/** Waits until the condition holds; throws after `ms`. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 15_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A clock on which time passes `factor` times as fast, and that can be set. */
export function fastClock(factor: number): Clock & { shift(ms: number): void } {
  const began = Date.now();
  let shifted = 0;
  return {
    now: () => new Date(began + (Date.now() - began) * factor + shifted),
    sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
    shift: (ms) => (shifted += ms),
  };
}

export async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "coffer-agent-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A control plane, a machine, and as many agents after one another as a test wants. All end with the test. */
export async function rig({ speed = 10, clock = fastClock(speed), engine }: { speed?: number; clock?: Clock; engine?: (world: World) => Engine } = {}) {
  const lines: string[] = [];
  const previous = setSink((line) => lines.push(JSON.stringify(line)));
  const plane = await Plane.start();
  plane.speed = speed;
  const world = new World();
  const stateDirectory = await scratch();
  let live: Agent | undefined;
  onTestFinished(async () => {
    await live?.leave();
    await plane.stop();
    setSink(previous);
  });
  const open = () => Agent.open({ boot: plane.boot, stateDirectory, engine: engine?.(world) ?? new MemoryEngine(world), version: "test", clock });
  return {
    plane,
    world,
    stateDirectory,
    /** The log so far. */
    lines,
    open,
    /** One job, done; its result. */
    job: async (kind: string, spec: Record<string, unknown>) => {
      const id = plane.add(kind, spec);
      await until("the end of a job", () => plane.acknowledged.has(id));
      return plane.result(id);
    },
    /** Starts an agent; its `outcome` is what `run` ends with. */
    start: async () => {
      const agent = await open();
      live = agent;
      return { agent, outcome: agent.run() };
    },
    /** The agent's process ends without stopping anything. */
    leave: async () => {
      const agent = live;
      live = undefined;
      await agent?.leave();
    },
    stop: async () => {
      const agent = live;
      live = undefined;
      await agent?.stop();
    },
  };
}
