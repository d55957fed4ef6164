import { readdir, readFile } from "node:fs/promises";

const CLOCK_TICKS = 100;

/** npm runs the script through a shell, which becomes node: the service is the descendant that runs the start script. */
export async function servicePid(parent: number): Promise<number> {
  const [pid] = await processesOf(parent, "start.mjs");
  if (pid === undefined) throw new Error(`process ${parent} has started no service`);
  return pid;
}

/** `parent` and its descendants whose command line has this word. */
async function processesOf(parent: number, word: string): Promise<number[]> {
  // A process may end while it is looked at.
  const words = (await readFile(`/proc/${parent}/cmdline`, "utf8").catch(() => "")).split("\0");
  const children = (await readFile(`/proc/${parent}/task/${parent}/children`, "utf8").catch(() => "")).trim().split(" ").filter(Boolean).map(Number);
  const below = await Promise.all(children.map((child) => processesOf(child, word)));
  return [...(words.some((one) => one.endsWith(word)) ? [parent] : []), ...below.flat()];
}

/** Bytes that belong to the process alone, and its share of what it shares. */
export async function memory(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
  return Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0) * 1024;
}

export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}

/** Processes whose command line has all of these words. */
export async function processesWith(...words: string[]): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return pids.filter((_, at) => words.every((word) => lines[at]?.includes(word))).map(Number);
}
