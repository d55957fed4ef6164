import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { copyFile, open, rename, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { unless } from "#core/driver/local/files";
import { identify, MARK } from "#core/driver/local/processes";
import type { Agent } from "#core/driver/local/supervisor";
import { AppError } from "#core/error";

/** Limit of the agent's heap; its resident size stays below `AGENT_MB`. */
const HEAP_MB = 64;
/** A log larger than this becomes `agent.log.1` at the next start, and at the latest at the second bound. */
const ROTATE_BYTES = 1024 * 1024;
const LARGEST_BYTES = 8 * 1024 * 1024;
const LAST_WORDS_BYTES = 4096;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Enters control groups (arguments up to `--`), then becomes the agent, under the same pid. */
const enter = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 71; shift; done; shift; exec "$@"';

export const logOf = (directory: string) => join(directory, "agent.log");

/**
 * Starts the agent of a server in a session of its own, so that it outlives this process, inside
 * the given control groups from its first instruction on. It inherits nothing but a PATH and the mark.
 */
export async function startAgent(options: { node: string; bundle: string; directory: string; groups: string[] }): Promise<Agent> {
  const { directory, groups } = options;
  await rotate(directory);
  const agent = [options.node, `--max-old-space-size=${HEAP_MB}`, options.bundle, directory];
  const [program = "", ...args] =
    groups.length > 0 ? ["/bin/sh", "-c", enter, "coffer-agent", ...groups.map((group) => join(group, "cgroup.procs")), "--", ...agent] : agent;
  const output = openSync(logOf(directory), "a", 0o600);
  try {
    const child = spawn(program, args, {
      cwd: directory,
      detached: true,
      stdio: ["ignore", output, output],
      env: { PATH, [MARK]: directory },
    });
    const ended = new Promise<string>((resolve) => {
      child.once("exit", (code, signal) => resolve(signal ? `it was ended by ${signal}` : `it ended with exit code ${code}`));
    });
    await once(child, "spawn");
    child.unref();
    const process = child.pid === undefined ? undefined : identify(child.pid);
    // It may have ended already; then `ended` tells.
    return { process: process ?? { pid: child.pid ?? 0, startTime: "ended" }, ended };
  } catch (cause) {
    throw new AppError("serviceUnavailable", `${program} cannot be run.`, { reason: "server.spawn", cause });
  } finally {
    closeSync(output);
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    unless(error, "ENOENT");
    return 0;
  }
}

async function rotate(directory: string): Promise<void> {
  const path = logOf(directory);
  if ((await sizeOf(path)) > ROTATE_BYTES) await rename(path, `${path}.1`);
}

/** Cuts the log of a running agent, which goes on appending to the same file. */
export async function boundLog(directory: string): Promise<void> {
  const path = logOf(directory);
  if ((await sizeOf(path)) <= LARGEST_BYTES) return;
  await copyFile(path, `${path}.1`);
  await truncate(path, 0);
}

/** The last line of the log, at most 300 characters. */
export async function lastWords(directory: string): Promise<string> {
  const path = logOf(directory);
  const size = await sizeOf(path);
  if (size === 0) return "";
  const file = await open(path, "r");
  try {
    const length = Math.min(size, LAST_WORDS_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
    const lines = buffer.toString("utf8", 0, bytesRead).split("\n").map((line) => line.trim());
    return (lines.findLast((line) => line !== "") ?? "").slice(0, 300);
  } finally {
    await file.close();
  }
}
