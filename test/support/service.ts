import { execFile, spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { freePort } from "#functions/node/listen";

export interface Output {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end, at most `timeoutMs`. */
export function run(program: string, args: string[], env: Record<string, string> = {}, timeoutMs = 60_000): Promise<Output> {
  return new Promise((done) => {
    execFile(program, args, { env: { ...process.env, ...env }, timeout: timeoutMs, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === "number" ? error.code : null) : 0;
      done({ code, stdout, stderr });
    });
  });
}

/** A home and a port of its own for one service, which may be started and stopped several times. */
export async function installation(env: Record<string, string> = {}) {
  const home = await mkdtemp(join(tmpdir(), "coffer-e2e-"));
  await chmod(home, 0o711);
  const port = await freePort();
  const settings = { COFFER_HOME: home, COFFER_PORT: String(port), COFFER_LOG: "json", COFFER_POOL: "3", ...env };
  return {
    home,
    port,
    url: `http://127.0.0.1:${port}`,
    clouds: join(home, "clouds.yaml"),
    ca: join(home, "ca.pem"),
    settings,
    start: () => start(settings),
    /** Removes all that this installation left on the machine. */
    async remove() {
      const secrets = await readFile(join(home, "secrets.json"), "utf8").catch(() => undefined);
      if (secrets) {
        const { installation: id } = JSON.parse(secrets) as { installation: string };
        await rm(join("/var/lib/coffer", id), { recursive: true, force: true });
      }
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Those of the secrets, and of the installation's own, that stand in what services printed or in any log file of theirs. */
export async function leaks({ home }: { home: string }, printed: string[], secrets: string[]): Promise<string[]> {
  const own = JSON.parse(await readFile(join(home, "secrets.json"), "utf8")) as { database: Record<string, string>; users: Record<string, string>; rootKey: string; signingKey: string };
  const all = [...secrets, "SCRAM-SHA-256$", ...Object.values(own.database), ...Object.values(own.users), own.rootKey, own.signingKey];
  const files = (await run("find", [home, "/var/lib/coffer", "-name", "*.log"])).stdout.trim().split("\n").filter(Boolean);
  const text = [...printed, ...(await Promise.all(files.map((path) => readFile(path, "utf8"))))].join("\n");
  if (files.length === 0 || !text.includes('"operation ended"')) throw new Error("there are no logs to look through");
  return all.filter((secret) => text.includes(secret));
}

export interface Running {
  pid: number;
  /** All it has printed so far. */
  output(): string;
  /** Resolves with the exit code. */
  ended: Promise<number | null>;
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** `npm start`, as a user types it; SIGINT goes to the whole group, as from a terminal; resolves when it says that it is ready, rejects when it ends before. */
export async function start(settings: Record<string, string>, as?: { uid: number; gid: number }): Promise<Running> {
  const child = spawn("npm", ["start", "--silent"], {
    cwd: resolve("."),
    env: { ...process.env, ...settings },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, so that a signal can be sent as a terminal sends it: to all of it.
    detached: true,
    ...as,
  });
  let text = "";
  const ended = new Promise<number | null>((done) => child.once("exit", (code) => done(code)));
  const ready = new Promise<void>((done, fail) => {
    const look = (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("Coffer is ready")) done();
    };
    child.stdout.on("data", look);
    child.stderr.on("data", look);
    void ended.then((code) => fail(new Error(`the service ended with code ${code}:\n${text.slice(-4000)}`)));
  });
  await ready;
  return {
    pid: child.pid ?? 0,
    output: () => text,
    ended,
    stop(signal = "SIGTERM") {
      if (child.exitCode === null && child.pid !== undefined) process.kill(signal === "SIGINT" ? -child.pid : child.pid, signal);
      return ended;
    },
  };
}
