import { readFile } from "node:fs/promises";
import type { Diagnostics, Hardware } from "#core/guest/protocol";

/** A line `Name:  123 kB` of a file in /proc. */
function figure(text: string, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1];
  if (found === undefined) throw new Error(`/proc does not tell ${name}`);
  return Number(found);
}

/** This agent's process, as Linux counts it; memory in kB (proc_pid_status(5)). */
export async function diagnostics(version: string): Promise<Diagnostics> {
  const status = await readFile("/proc/self/status", "utf8");
  return {
    version,
    threads: figure(status, "Threads"),
    fdSize: figure(status, "FDSize"),
    vmSize: figure(status, "VmSize"),
    vmPeak: figure(status, "VmPeak"),
    vmRss: figure(status, "VmRSS"),
    vmHwm: figure(status, "VmHWM"),
  };
}

/** The machine the agent is on, memory in kB. On one machine that is the whole machine, whatever the flavor. */
export async function hardware(): Promise<Hardware> {
  const [memory, processors] = await Promise.all([readFile("/proc/meminfo", "utf8"), readFile("/proc/cpuinfo", "utf8")]);
  return { memTotal: figure(memory, "MemTotal"), cpus: processors.match(/^processor\s*:/gm)?.length ?? 1 };
}
