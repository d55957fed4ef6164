import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Clock } from "#core/clock";
import { AppError, codeOf } from "#core/error";

/*
 * What runs is read from /proc, never from a pid file: a pid on disk may by now be somebody
 * else's, and a crash between starting a process and writing its pid down would lose it.
 */

/** A pid with its start time (clock ticks since boot): unlike a pid alone, never given twice. */
export interface Process {
  pid: number;
  startTime: string;
}

/** Environment of every agent, inherited by what it starts: the directory of its server. */
export const MARK = "COFFER_SERVER_DIRECTORY";

/** How to tell the processes of one server from all others. */
export interface Traces {
  serverDirectory: string;
  volumeDirectory?: string;
  /** User id that only this volume's engine has. */
  uid?: number;
  engineDirectory?: string;
  /** `cgroup.procs` files of this server alone. */
  groups: string[];
}

const gone = new Set(["ENOENT", "ESRCH", "EACCES", "EPERM"]);

/** Undefined when the process ended, or is none of our business. */
function look<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (gone.has(codeOf(error) ?? "")) return undefined;
    throw error;
  }
}

interface Stat extends Process {
  parent: number;
}

function statOf(pid: number): Stat | undefined {
  const text = look(() => readFileSync(`/proc/${pid}/stat`, "latin1"));
  if (text === undefined) return undefined;
  // The second field is the program's name in parentheses and may hold anything; fields count from 1.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  // Zombie, dead: it ended and nobody has waited for it.
  if (fields[0] === "Z" || fields[0] === "X") return undefined;
  return { pid, parent: Number(fields[4 - 3]), startTime: fields[22 - 3] ?? "" };
}

export function identify(pid: number): Process | undefined {
  const stat = statOf(pid);
  return stat && { pid, startTime: stat.startTime };
}

export const isAlive = (one: Process) => statOf(one.pid)?.startTime === one.startTime;

/** False when the process has ended. */
export function signal(one: Process, name: NodeJS.Signals): boolean {
  if (!isAlive(one)) return false;
  try {
    return process.kill(one.pid, name);
  } catch (error) {
    if (codeOf(error) === "ESRCH") return false;
    throw error;
  }
}

const pids = () =>
  (look(() => readdirSync("/proc")) ?? []).filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => pid !== process.pid);

const marked = (pid: number, directory: string) =>
  look(() => readFileSync(`/proc/${pid}/environ`, "utf8"))?.split("\0").includes(`${MARK}=${directory}`) ?? false;

const below = (path: string | undefined, directory: string | undefined) =>
  path !== undefined && directory !== undefined && (path === directory || path.startsWith(`${directory}/`));

/** The agents that run, by server directory, oldest first: it is their last argument, and they carry its mark. */
export function findAgents(): Map<string, Process[]> {
  const found = new Map<string, Process[]>();
  for (const pid of pids()) {
    const directory = look(() => readFileSync(`/proc/${pid}/cmdline`, "utf8"))?.split("\0").at(-2);
    if (!directory?.startsWith("/") || !marked(pid, directory)) continue;
    const agent = identify(pid);
    if (agent) found.set(directory, [...(found.get(directory) ?? []), agent]);
  }
  for (const agents of found.values()) agents.sort((a, b) => Number(a.startTime) - Number(b.startTime));
  return found;
}

/** Everything that runs for one server: agent, engine, and what these started. */
function processesOf(traces: Traces): Stat[] {
  const grouped = new Set(
    traces.groups.flatMap((file) => (look(() => readFileSync(file, "utf8")) ?? "").split("\n").filter(Boolean).map(Number)),
  );
  return pids()
    .filter((pid) => grouped.has(pid) || marked(pid, traces.serverDirectory) || isEngine(pid, traces))
    .map((pid) => statOf(pid))
    .filter((one) => one !== undefined);
}

/**
 * An engine may have changed its environment. It works inside its volume; and so may the shell
 * of somebody who looks around there, so that alone is not enough.
 */
function isEngine(pid: number, traces: Traces): boolean {
  if (!below(look(() => readlinkSync(`/proc/${pid}/cwd`)), traces.volumeDirectory)) return false;
  if (traces.uid !== undefined) return uidOf(pid) === traces.uid;
  return below(look(() => readlinkSync(`/proc/${pid}/exe`)), traces.engineDirectory);
}

function uidOf(pid: number): number | undefined {
  const status = look(() => readFileSync(`/proc/${pid}/status`, "latin1"));
  const real = /^Uid:\t(\d+)/m.exec(status ?? "")?.[1];
  return real === undefined ? undefined : Number(real);
}

/** How long each step of an end may take, ms. */
export const PATIENCE = { agent: 30_000, polite: 3_000, firm: 5_000, kill: 10_000 };

/**
 * Ends a server: its agent, which stops the engine in order; then, where that did not happen,
 * what is left of it. Ends with an error when something cannot even be killed.
 */
export async function end(traces: Traces, clock: Clock): Promise<void> {
  const agents = findAgents().get(traces.serverDirectory) ?? [];
  for (const agent of agents) signal(agent, "SIGTERM");
  const agentGone = () => !agents.some(isAlive);
  if (!(await until(agentGone, PATIENCE.agent, clock))) for (const agent of agents) signal(agent, "SIGKILL");
  // The engine's own first process stops the others; SIGTERM waits for clients on some engines, SIGINT does not.
  for (const [name, ms] of [["SIGTERM", PATIENCE.polite], ["SIGINT", PATIENCE.firm]] as const) {
    const left = processesOf(traces);
    if (left.length === 0) return;
    for (const one of left) if (!left.some((other) => other.pid === one.parent)) signal(one, name);
    await until(() => !left.some(isAlive), ms, clock);
  }
  await kill(traces, clock);
}

/** Ends a server at once, as a power cut does; its data must be able to stand that. Ends with an error when something cannot be killed. */
export async function kill(traces: Traces, clock: Clock): Promise<void> {
  const killed = await until(
    () => {
      const left = processesOf(traces);
      for (const one of left) signal(one, "SIGKILL");
      return left.length === 0;
    },
    PATIENCE.kill,
    clock,
  );
  if (!killed) {
    throw new AppError("serviceUnavailable", `Processes of ${traces.serverDirectory} cannot be ended.`, { reason: "server.unkillable" });
  }
}

/** Looks every 20 ms, then every 100 ms; false when `ms` passed first. */
export async function until(done: () => boolean, ms: number, clock: Clock): Promise<boolean> {
  const started = clock.now().getTime();
  for (;;) {
    if (done()) return true;
    const waited = clock.now().getTime() - started;
    if (waited >= ms) return false;
    await clock.sleep(waited < 500 ? 20 : 100);
  }
}
