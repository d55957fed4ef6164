import { readdir, readFile, readlink, realpath } from "node:fs/promises";
import { join, resolve } from "node:path";
import { systemClock, type Clock } from "#core/clock";
import { AppError, codeOf } from "#core/error";
import { glance } from "#core/engine/postgresql/files";

/** After this the next harder signal is sent; a process that was killed is gone at once, unless its disk hangs. */
const harderAfterMs = 5_000;

/** The pid of the postmaster that serves this directory; undefined if none does. A recycled pid is not mistaken for one. */
export async function serverPid(directory: string): Promise<number | undefined> {
  const pid = await notedPid(directory);
  return pid !== undefined && (await isServer(pid, directory)) ? pid : undefined;
}

/** What `postmaster.pid` says, dead or alive. */
export async function notedPid(directory: string): Promise<number | undefined> {
  const pid = Number((await glance(join(directory, "postmaster.pid")))?.toString("utf8").split("\n")[0]);
  return Number.isInteger(pid) && pid > 1 ? pid : undefined;
}

/** Whether the postmaster with this pid takes connections (line 8 of `postmaster.pid`; `standby` is one that recovers, and does not). */
export async function isReady(directory: string, pid: number): Promise<boolean> {
  const lines = (await glance(join(directory, "postmaster.pid")))?.toString("utf8").split("\n") ?? [];
  return Number(lines[0]) === pid && lines[7]?.trim() === "ready";
}

/**
 * Whether a process is the postmaster of this directory. Its command line tells, which every
 * user may read: backends rename theirs, and a zombie has none.
 */
export async function isServer(pid: number, directory: string): Promise<boolean> {
  const words = await commandLine(pid);
  // Without /proc a live process and the pid file are all there is to go by.
  if (words === "unknown") return isAlive(pid);
  const at = words.indexOf("-D");
  const given = at < 0 ? undefined : words[at + 1];
  return given !== undefined && resolve(given) === resolve(directory);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

async function commandLine(pid: number): Promise<string[] | "unknown"> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0");
  } catch (error) {
    if (!["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(codeOf(error) ?? "")) throw error;
    return process.platform === "linux" ? [] : "unknown";
  }
}

/**
 * Ends the server; resolves when it is gone. fast = sessions are rolled back and cut, and a
 * checkpoint is written; immediate = as in a crash. Not running = success. What outlasts
 * `timeoutMs` is ended harder, which costs a recovery at the next start but loses nothing.
 */
export async function stopServer(
  directory: string,
  { mode = "fast", timeoutMs = 20_000, clock = systemClock }: { mode?: "fast" | "immediate"; timeoutMs?: number; clock?: Clock } = {},
): Promise<void> {
  const pid = await serverPid(directory);
  if (pid === undefined) return;
  const gone = async () => !(await isServer(pid, directory));
  signal(pid, mode === "fast" ? "SIGINT" : "SIGQUIT");
  if (await eventually(gone, timeoutMs, clock)) return;
  for (const harder of ["SIGQUIT", "SIGKILL"] as const) {
    signal(pid, harder);
    if (await eventually(gone, harderAfterMs, clock)) return;
  }
  throw new AppError("serviceUnavailable", `The database server (pid ${pid}) does not end, though it was killed.`, {
    reason: "engine.unstoppable",
    next: "Look for a disk that does not answer.",
  });
}

/**
 * Ends what a killed postmaster left behind: its backends notice only when they next wait for
 * something, and as long as one lives the memory it shares keeps the next server from starting.
 * They can no longer commit anything that recovery would not find. Call only when no postmaster lives.
 */
export async function endOrphans(directory: string, clock: Clock = systemClock): Promise<void> {
  for (const name of ["SIGQUIT", "SIGKILL"] as const) {
    const left = await orphans(directory);
    if (left.length === 0) return;
    for (const pid of left) signal(pid, name);
    await eventually(async () => (await orphans(directory)).length === 0, 2_000, clock);
  }
}

/** The server's own processes work in the data directory; so might an administrator's shell, hence the look at the title. */
async function orphans(directory: string): Promise<number[]> {
  const place = await realpath(directory);
  const found: number[] = [];
  for (const name of await readdir("/proc").catch(() => [])) {
    if (!/^\d+$/.test(name)) continue;
    // Not ours to look into, or gone meanwhile: no orphan of ours either way.
    const cwd = await readlink(`/proc/${name}/cwd`).catch(() => undefined);
    if (cwd !== place) continue;
    const [title = ""] = await commandLine(Number(name));
    if (title.startsWith("postgres:")) found.push(Number(name));
  }
  return found;
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (codeOf(error) !== "ESRCH") throw error;
  }
}

/** Awaits a condition, looking more and more seldom; false when `ms` passed first. */
export async function eventually(condition: () => Promise<boolean>, ms: number, clock: Clock): Promise<boolean> {
  const until = clock.now().getTime() + ms;
  for (let pause = 4; ; pause = Math.min(pause * 1.3, 100)) {
    if (await condition()) return true;
    if (clock.now().getTime() >= until) return false;
    await clock.sleep(pause);
  }
}
