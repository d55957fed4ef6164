import { readdir, readFile } from "node:fs/promises";

const CLOCK_TICKS = 100;

/** npm runs the script through a shell, which becomes node: the newest descendant is the service. */
export async function servicePid(parent: number): Promise<number> {
  const children = await readFile(`/proc/${parent}/task/${parent}/children`, "utf8").catch(() => "");
  const child = Number(children.trim().split(" ")[0]);
  return child ? servicePid(child) : parent;
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
