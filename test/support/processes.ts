import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

/** Waits until `look` gives something true, and returns it; fails after `ms`. */
export async function eventually<T>(look: () => T | Promise<T>, ms = 10_000): Promise<Exclude<T, false | undefined>> {
  const deadline = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found as Exclude<T, false | undefined>;
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${look.toString()}`);
    await pause(20);
  }
}

/** Text of a file below /proc; empty when the process has ended. */
export function proc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    // Whoever asks wants to know about a living process.
    return "";
  }
}

export const runs = (pid: number) => proc(pid, "stat") !== "" && !/\) [ZX] /.test(proc(pid, "stat"));
