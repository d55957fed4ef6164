import { build } from "esbuild";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import type { Machine } from "#core/engine/engine";
import { Plane } from "#test/guest/agent-plane";
import { scratch, until } from "#test/guest/agent-rig";

// The agent as it is shipped: one file, one process, real signals.

let program = "";
beforeAll(async () => {
  const result = await build({
    entryPoints: ["test/guest/agent-process.ts"],
    bundle: true,
    platform: "node",
    format: "esm",
    minify: true,
    metafile: true,
    write: false,
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  });
  program = result.outputFiles[0]?.text ?? "";
  const inputs = Object.keys(result.metafile.inputs);
  expect(inputs.filter((path) => /drizzle|hono|core\/db\//.test(path))).toEqual([]);
});

interface Running {
  child: ChildProcess;
  /** Everything it wrote to stderr. */
  log(): string;
}

async function machine() {
  const plane = await Plane.start();
  const directory = await scratch();
  const volume = join(directory, "volume");
  await mkdir(volume);
  const machine: Machine = { stateDirectory: join(directory, "state"), volumeDirectory: volume, runDirectory: directory, engineDirectory: directory, address: "127.0.0.1", port: 5432 };
  await writeFile(join(directory, "agent.mjs"), program);
  await writeFile(join(directory, "machine.json"), JSON.stringify(machine));
  await writeFile(join(directory, "boot.json"), JSON.stringify(plane.boot));
  const children: ChildProcess[] = [];
  const text = (name: string) => (existsSync(join(volume, name)) ? readFileSync(join(volume, name), "utf8") : "");
  const isAlive = (pid: number) => !/^$|\) [ZX]/.test(procFile(pid, "stat"));
  onTestFinished(async () => {
    for (const child of children) if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    const servers = text("starts").split("\n").filter(Boolean).map(Number);
    for (const pid of servers) if (procFile(pid, "comm").trim() === "sleep") process.kill(pid, "SIGKILL");
    await plane.stop();
  });
  return {
    plane,
    volume,
    text,
    serverRuns: () => text("pid") !== "" && isAlive(Number(text("pid"))),
    start: (): Running => {
      const child = spawn(process.execPath, [join(directory, "agent.mjs"), directory], { stdio: ["ignore", "ignore", "pipe"] });
      children.push(child);
      let log = "";
      child.stderr.on("data", (part: Buffer) => (log += part.toString()));
      return { child, log: () => log };
    },
  };
}

/** A file of proc(5), empty once the process is gone, which may be between any two looks. */
function procFile(pid: number, name: "stat" | "comm"): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "latin1");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ESRCH") return "";
    throw error;
  }
}

const ended = async ({ child }: Running) => {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.exitCode;
};

test("an agent killed in the middle of a job leaves the server up; the next one adopts it and does the job again, once", async () => {
  const { plane, volume, text, serverRuns, start } = await machine();
  const prepared = plane.prepare();
  const first = start();
  await until("prepared", () => plane.acknowledged.has(prepared));
  await writeFile(join(volume, "hold"), "");
  const id = plane.add("create_databases", { databases: [{ name: "late" }] });
  await until("begun", () => text("began").includes("late"));
  first.child.kill("SIGKILL");
  await ended(first);
  expect(serverRuns()).toBe(true);
  await rm(join(volume, "hold"));
  start();
  await until("done", () => plane.acknowledged.has(id));
  expect(text("data")).toBe("app\nlate\n");
  expect(text("starts").trim().split("\n")).toHaveLength(1);
});

test("SIGTERM stops the server and ends with 0; the next agent brings the server back", async () => {
  const { plane, serverRuns, start } = await machine();
  const prepared = plane.prepare();
  const first = start();
  await until("prepared", () => plane.acknowledged.has(prepared));
  first.child.kill("SIGTERM");
  expect(await ended(first)).toBe(0);
  expect(serverRuns()).toBe(false);
  expect(plane.syncs.at(-1)?.report.serviceStatus).toBe("shutdown");
  start();
  await until("back", () => serverRuns() && plane.syncs.at(-1)?.report.serviceStatus === "healthy");
});

test("SIGHUP ends the agent with 0 and leaves the server running", async () => {
  const { plane, serverRuns, text, start } = await machine();
  const prepared = plane.prepare();
  const first = start();
  await until("prepared", () => plane.acknowledged.has(prepared));
  first.child.kill("SIGHUP");
  expect(await ended(first)).toBe(0);
  expect(serverRuns()).toBe(true);
  const seen = plane.syncs.length;
  start();
  await until("adopted", () => plane.syncs.slice(seen).some((sync) => sync.report.serviceStatus === "healthy"));
  expect(text("starts").trim().split("\n")).toHaveLength(1);
});

test("SIGUSR1 leaves the server running too, and starts no debugger", async () => {
  const { plane, serverRuns, start } = await machine();
  const prepared = plane.prepare();
  const first = start();
  await until("prepared", () => plane.acknowledged.has(prepared));
  first.child.kill("SIGUSR1");
  expect(await ended(first)).toBe(0);
  expect(serverRuns()).toBe(true);
  expect(first.log()).not.toContain("Debugger");
});

test("a server killed under the agent is reported and restarted", async () => {
  const { plane, text, serverRuns, start } = await machine();
  const prepared = plane.prepare();
  start();
  await until("prepared", () => plane.acknowledged.has(prepared));
  process.kill(Number(text("pid")), "SIGKILL");
  await until("told", () => plane.syncs.some((sync) => sync.report.serviceStatus === "crashed"));
  await until("back", () => serverRuns() && plane.syncs.at(-1)?.report.serviceStatus === "healthy");
});

test("a second agent on one directory ends with 4 and one clear line; a dead one's claim does not count", async () => {
  const { plane, start } = await machine();
  const first = start();
  await until("synced", () => plane.syncs.length > 0);
  const second = start();
  expect(await ended(second)).toBe(4);
  const lines = second.log().trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({ level: "error", instance: plane.boot.instanceId, error: expect.stringContaining("Another agent holds") as string });
  expect(first.child.exitCode).toBeNull();
  first.child.kill("SIGKILL");
  await ended(first);
  const seen = plane.syncs.length;
  start();
  await until("synced again", () => plane.syncs.length > seen);
});

test("of many agents started together on one directory exactly one stays", async () => {
  const { plane, start } = await machine();
  const all = Array.from({ length: 6 }, start);
  await until("one synced and the others ended", () => plane.syncs.length > 0 && all.filter(({ child }) => child.exitCode === 4).length === 5);
  expect(all.filter(({ child }) => child.exitCode === null)).toHaveLength(1);
});

test("a refused agent ends with 3 and leaves the server as it is", async () => {
  const { plane, serverRuns, start } = await machine();
  const prepared = plane.prepare();
  const first = start();
  await until("prepared", () => plane.acknowledged.has(prepared));
  plane.revoked = true;
  plane.cut();
  expect(await ended(first)).toBe(3);
  expect(serverRuns()).toBe(true);
});

test("an agent whose log reader has died goes on", async () => {
  const { plane, text, serverRuns, start } = await machine();
  const prepared = plane.prepare();
  const first = start();
  first.child.stderr?.destroy();
  await until("prepared", () => plane.acknowledged.has(prepared));
  process.kill(Number(text("pid")), "SIGKILL");
  await until("back", () => serverRuns() && text("starts").trim().split("\n").length === 2);
  expect(first.child.exitCode).toBeNull();
});

test("without its two files the agent ends with 1 and says which is missing", async () => {
  const { plane, start, volume } = await machine();
  await rm(join(volume, "..", "boot.json"));
  const only = start();
  expect(await ended(only)).toBe(1);
  expect(only.log()).toContain("boot.json is missing");
  expect(plane.enrolments).toEqual([]);
});
