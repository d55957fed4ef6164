import { execFile, spawn } from "node:child_process";
import { lchownSync, readdirSync } from "node:fs";
import { chmod, chown, lstat, mkdir, mkdtemp, open, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { constants, getPriority, setPriority } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { AppError, codeOf } from "#core/error";
import { syncDirectory } from "#core/engine/postgresql/files";
import { log } from "#core/log";

export { serverPid, stopServer } from "#core/engine/postgresql/process";

const run = promisify(execFile);
/** Nothing of our own environment reaches a server. */
export const environment = { LC_ALL: "C", PATH: "/usr/bin:/bin", TZ: "UTC" };

/** The uid and gid a server's processes and files have; absent = the caller's own. */
export interface User {
  uid: number;
  gid: number;
}

/** initdb asks the passwd database for its own uid; this entry exists on every Linux. */
const NOBODY: User = { uid: 65534, gid: 65534 };
export const asRoot = () => process.getuid?.() === 0;

/**
 * Re-creates the library links that the npm package makes in its install script, for those who
 * install with scripts off. Two processes may do it at once; where all links are there, nothing is written.
 */
export async function hydrate(native: string): Promise<void> {
  const list = JSON.parse(await readFile(join(native, "pg-symlinks.json"), "utf8")) as { source: string; target: string }[];
  for (const { source, target } of list) {
    // The list is written from the package's root; the folder may have been copied elsewhere.
    const link = join(native, target.replace(/^native\//, ""));
    try {
      await lstat(link);
    } catch (missing) {
      if (codeOf(missing) !== "ENOENT") throw missing;
      await symlink(basename(source), link).catch((error: unknown) => {
        if (codeOf(error) !== "EEXIST") throw error;
      });
    }
  }
}

export interface InitCluster {
  native: string;
  /** Must not exist; appears complete or not at all. Its parents must let every user pass, when we are root. */
  directory: string;
  superuser: string;
  password: string;
  as?: User;
  /** False = the directory need not survive a power cut. Costs about 100 ms. */
  durable?: boolean;
  /** True = others go first at the processor. */
  background?: boolean;
}

/**
 * A fresh data directory with its own system identifier and data checksums, in UTF8. Text is
 * compared by code point: fast, and the same on every operating system, so that indexes stay valid when
 * data moves to another machine. Upper and lower case know all of Unicode: by PostgreSQL's own C.UTF-8
 * from 17 on, before that by the system's, or only for ASCII where the system has none.
 */
export async function initCluster({ native, directory, superuser, password, as, durable = true, background = false }: InitCluster): Promise<void> {
  const staging = await mkdtemp(`${directory}.new-`);
  const data = join(staging, "data");
  const user = asRoot() ? NOBODY : undefined;
  const passwordFile = join(staging, "password");
  const initdb = (locale: string[]) =>
    program(native, "initdb", ["-D", data, "-U", superuser, "-k", "-E", "UTF8", ...locale, "--auth=scram-sha-256", `--pwfile=${passwordFile}`, "--no-sync", "--no-instructions"], { cwd: staging, background, ...user });
  try {
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    if (user) await Promise.all([staging, passwordFile].map((path) => chown(path, user.uid, user.gid)));
    if ((await majorOf(native)) >= 17) await initdb(["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
    else
      await initdb(["--locale=C", "--lc-ctype=C.UTF-8"]).catch(async (error: unknown) => {
        if (!(error instanceof AppError) || !error.message.includes("locale")) throw error;
        await initdb(["--locale=C"]);
      });
    const owner = as ?? user;
    if (owner) await chownTree(data, owner);
    if (durable) await program(native, "initdb", ["--sync-only", "-D", data], { cwd: staging, background });
    await rename(data, directory);
    if (durable) await syncDirectory(dirname(directory));
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** Brings a tree to the disk, as initdb does it. */
export const syncTree = (native: string, directory: string): Promise<void> => program(native, "initdb", ["--sync-only", "-D", directory], { cwd: dirname(directory), background: false });

const versions = new Map<string, Promise<number>>();

/** The major version of the programs, asked once: other programs come with another agent, or in another place. */
export const majorOf = async (native: string): Promise<number> => Math.floor((await versionOf(native)) / 10_000);

/** The version of the programs, as `server_version_num` says it: 170010. */
export function versionOf(native: string): Promise<number> {
  const known = versions.get(native);
  if (known) return known;
  const asked = askVersion(native);
  versions.set(native, asked);
  asked.catch(() => versions.delete(native));
  return asked;
}

async function askVersion(native: string): Promise<number> {
  const { stdout } = await run(join(native, "bin", "postgres"), ["--version"], { env: environment });
  // A version that is not out yet has letters in place of the second number.
  const [, major, minor = "0"] = / (\d+)(?:\.(\d+))?/.exec(stdout) ?? [];
  if (major === undefined) throw new AppError("serviceUnavailable", `${native} does not tell its version.`, { reason: "engine.version", final: true });
  return Number(major) * 10_000 + Number(minor);
}

async function program(native: string, name: string, args: string[], { background, ...options }: Partial<User> & { cwd: string; background: boolean }): Promise<void> {
  const running = run(join(native, "bin", name), args, { ...options, env: environment });
  // What it starts inherits this. It may have ended, or be somebody's with rules of his own: it is only a courtesy.
  if (background && running.child.pid !== undefined) yieldTo(running.child.pid);
  await running.catch((cause: Error & { stderr?: string }) => {
    throw new AppError("serviceUnavailable", `${name} failed: ${(cause.stderr || cause.message).trim().split("\n").find((line) => line.includes("error")) ?? cause.message}`, {
      reason: `engine.${name}`,
      cause,
    });
  });
}

function yieldTo(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_LOW);
  } catch (error) {
    log.warn("a background program keeps its priority", { error: String(error) });
  }
}

/** Gives a tree that no server has run on to a user. The top comes last, as the sign that all is done. */
export async function chownTree(directory: string, user: User): Promise<void> {
  // Without giving way to others: a fresh cluster has about a thousand files, some milliseconds.
  chownNow(directory, user);
}

function chownNow(directory: string, user: User): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) chownNow(path, user);
    else lchownSync(path, user.uid, user.gid);
  }
  lchownSync(directory, user.uid, user.gid);
}

export interface StartServer {
  native: string;
  directory: string;
  logFile: string;
  as?: User;
  options?: Record<string, string>;
}

/** Starts `postgres` in a session of its own, so that it outlives us. It may not accept connections yet. */
export async function spawnServer({ native, directory, logFile, as, options = {} }: StartServer): Promise<{ pid: number; ended: Promise<void> }> {
  const log = await open(logFile, "a", 0o600);
  try {
    const child = spawn(
      join(native, "bin", "postgres"),
      ["-D", directory, ...Object.entries(options).flatMap(([key, value]) => ["-c", `${key}=${value}`])],
      { ...as, cwd: directory, detached: true, stdio: ["ignore", log.fd, log.fd], env: environment },
    );
    // At once, before it has children: whoever starts it may go first by right, its tenants may not.
    if (child.pid !== undefined && getPriority() < 0) setPriority(child.pid, constants.priority.PRIORITY_NORMAL);
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("spawn", resolve);
    });
    child.unref();
    if (child.pid === undefined) throw new Error("a process without a pid");
    return { pid: child.pid, ended };
  } finally {
    await log.close();
  }
}

/** As `spawnServer`; its pid. */
export const startServer = async (spec: StartServer): Promise<number> => (await spawnServer(spec)).pid;

/** Makes a directory that only `user` may enter. */
export async function privateDirectory(path: string, user?: User): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await chmod(path, 0o700);
  if (user) await chown(path, user.uid, user.gid);
}
