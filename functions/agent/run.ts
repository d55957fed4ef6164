import { getPriority, setPriority } from "node:os";
import { join } from "node:path";
import type * as z from "zod";
import type { Engine, Machine } from "#core/engine/engine";
import { AppError, describe } from "#core/error";
import { Agent } from "#core/guest/agent/agent";
import { readJson } from "#core/guest/agent/file";
import { MachineFile } from "#core/guest/agent/machine";
import { Boot } from "#core/guest/protocol";
import { log, setSink } from "#core/log";

/** The agent's version, told in every report. */
const version = "0.1.0";

/** Exit codes that whoever started the agent may act on. */
export const exit = {
  done: 0,
  /** Something unforeseen; starting again may help. */
  failed: 1,
  usage: 2,
  /** The control plane wants no more of this agent; starting again is of no use. The engine was left as it is. */
  refused: 3,
  /** Another agent drives this directory. */
  locked: 4,
} as const;

/** Makes the engine of a datastore (`boot.json`) on a machine (`machine.json`). */
export type EngineMaker = (manager: string, machine: Machine, version: string) => Engine | Promise<Engine>;

/**
 * The agent's process: reads `boot.json` and `machine.json` in `directory`, runs until a signal
 * or a refusal, and returns the exit code. SIGTERM and SIGINT stop the engine too; SIGHUP and
 * SIGUSR1 leave it running, for an update of the agent.
 */
export async function run(directory: string | undefined, makeEngine: EngineMaker): Promise<number> {
  // Whoever reads the log may die before the agent does; that is no reason to follow.
  process.stderr.on("error", () => {});
  process.on("uncaughtException", (error) => {
    log.error("the agent failed", { error: describe(error) });
    process.exit(exit.failed);
  });
  goFirst();
  // Before anything else: a signal without a listener would end the process and leave the engine behind.
  const asked = signals();
  if (!directory) {
    log.error("usage: agent.mjs <directory with boot.json and machine.json>");
    return exit.usage;
  }
  try {
    const boot = await required(join(directory, "boot.json"), Boot);
    const machine = await required(join(directory, "machine.json"), MachineFile);
    const plain = setSink(() => {});
    setSink((line) => plain({ ...line, instance: boot.instanceId }));
    const { manager, version: engineVersion } = boot.datastore;
    const engine = await makeEngine(manager, machine, engineVersion);
    return await serve(await Agent.open({ boot, stateDirectory: machine.stateDirectory, engine, version, ...(machine.logFile !== undefined && { logFile: machine.logFile }) }), asked);
  } catch (error) {
    log.error("the agent failed", { error: describe(error) });
    return error instanceof AppError && error.reason === "locked" ? exit.locked : exit.failed;
  }
}

/** Niceness of an agent: what it watches over may use all the processor there is, and fill a disk meanwhile. */
const niceness = -5;

/** Takes precedence over the server it looks after, where the system lets it; an ordinary user may not. */
function goFirst(): void {
  if (getPriority() <= niceness) return;
  try {
    setPriority(niceness);
  } catch (error) {
    // What libuv was refused stands in `info` (Node's SystemError); `code` is the same for all.
    const { info } = error as { info?: { code?: string } };
    if (info?.code !== "EACCES" && info?.code !== "EPERM") throw error;
  }
}

async function required<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const value = await readJson(path, schema);
  if (!value) throw new AppError("instanceFault", `${path} is missing`, { reason: "agent.file", final: true });
  return value;
}

function signals(): Promise<"stop" | "leave"> {
  return new Promise((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => resolve("stop"));
    for (const name of ["SIGHUP", "SIGUSR1"] as const) process.on(name, () => resolve("leave"));
  });
}

async function serve(agent: Agent, asked: Promise<"stop" | "leave">): Promise<number> {
  log.info("the agent runs", { pid: process.pid, version });
  const outcome = await Promise.race([asked, agent.run()]);
  if (outcome === "stop") await agent.stop();
  else await agent.leave();
  log.info("the agent ends", { outcome });
  return outcome === "refused" ? exit.refused : exit.done;
}
