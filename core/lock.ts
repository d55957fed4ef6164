import { readFileSync } from "node:fs";
import { link, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "#core/error";

/*
 * One process of a kind per directory, without flock, which Node does not have.
 *
 * A claim is a file `<kind>.lock.<n>` that says who made it. The highest number owns the
 * directory while its maker lives. Whoever finds it dead makes n+1 by link(), which only one
 * can. Numbers never fall: the highest file is never removed, and a claim that finds a higher
 * one after it was made (its maker slept through two owners) gives way.
 */

/**
 * Takes the directory for one process of that kind (`agent`, `service`), or throws AppError
 * `conflict` with reason `locked`. Ends with the process, or when the returned function is called.
 */
export async function lock(directory: string, kind: string): Promise<() => Promise<void>> {
  const prefix = `${kind}.lock.`;
  const me = identify(process.pid) ?? `${process.pid}`;
  // Bounded: each further turn means that another claimant won one in between.
  for (let turn = 0; turn < 100; turn++) {
    const highest = Math.max(0, ...(await claims(directory, prefix)));
    if (highest > 0 && (await isAlive(join(directory, `${prefix}${highest}`)))) throw locked(directory, kind);
    const mine = highest + 1;
    if (!(await claim(directory, `${prefix}${mine}`, me))) continue;
    const now = await claims(directory, prefix);
    if (Math.max(...now) > mine) {
      await rm(join(directory, `${prefix}${mine}`), { force: true });
      continue;
    }
    for (const old of now) if (old < mine) await rm(join(directory, `${prefix}${old}`), { force: true });
    return () => writeFile(join(directory, `${prefix}${mine}`), "released");
  }
  throw locked(directory, kind);
}

const locked = (directory: string, kind: string) =>
  new AppError("conflict", `Another ${kind} holds ${directory}`, { reason: "locked", final: true });

async function claims(directory: string, prefix: string): Promise<number[]> {
  const names = await readdir(directory);
  return names.filter((name) => name.startsWith(prefix)).map((name) => Number(name.slice(prefix.length))).filter(Number.isSafeInteger);
}

/** False when another has made the same claim. The file appears complete or not at all. */
async function claim(directory: string, name: string, owner: string): Promise<boolean> {
  const draft = join(directory, `${name}.${process.pid}`);
  const file = await open(draft, "w", 0o600);
  try {
    await file.writeFile(owner);
  } finally {
    await file.close();
  }
  try {
    await link(draft, join(directory, name));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function isAlive(path: string): Promise<boolean> {
  let owner: string;
  try {
    owner = await readFile(path, "utf8");
  } catch (error) {
    // Removed by the owner of a higher claim; the next turn sees that one.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  const pid = Number(owner.split(" ")[0]);
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    // EPERM: it lives under another uid.
  }
  // A pid alone may have been given to someone else since.
  const now = identify(pid);
  return now === undefined || now === owner;
}

/**
 * `<pid> <start time> <boot id>`: unlike a pid, never given twice. `<pid> dead` for a process
 * that ended and that nobody has waited for. Undefined where there is no /proc to tell.
 */
function identify(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field is the program's name in parentheses and may hold anything; fields are counted from 1.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return `${pid} dead`;
    return `${pid} ${fields[22 - 3]} ${readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()}`;
  } catch (error) {
    if (["ENOENT", "EACCES", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}
