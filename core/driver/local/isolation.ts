import { accessSync, constants, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Flavor } from "#core/driver/compute";
import { codeOf } from "#core/error";

/*
 * Limits of a server from its flavor, by control groups where this machine lets us: version 2,
 * else version 1, else none. Groups are made below the group that Coffer itself runs in, so that
 * what an operator imposed on Coffer holds for all it starts. Version 2 allows no limited
 * children beside processes, so there we go up, but never out of a group that has a limit itself.
 */

export type Controller = "cgroup2" | "cgroup1" | "none";

/** The agent's own share, on top of what the flavor gives the engine. Node with a 64 MB heap limit measures 42 MB idle, 122 MB with its heap full. */
export const AGENT_MB = 128;
/** Threads and processes of one server: far above any engine's need, far below the machine's. */
const PIDS_MAX = 4096;
const PERIOD_US = 100_000;

type Kind = "memory" | "cpu" | "pids";
const kinds: readonly Kind[] = ["memory", "cpu", "pids"];

/** The file by whose presence a group can limit something. */
const limitFiles = [
  { version: 2, kind: "memory", file: "memory.max" },
  { version: 1, kind: "memory", file: "memory.limit_in_bytes" },
  { version: 2, kind: "cpu", file: "cpu.max" },
  { version: 1, kind: "cpu", file: "cpu.cfs_quota_us" },
] as const;

/** One hierarchy that we may use: `directory` is where our servers' groups go. */
interface Hierarchy {
  version: 1 | 2;
  directory: string;
  kinds: Kind[];
}

interface Places {
  /** Text of /proc/self/mountinfo. */
  mounts: string;
  /** Text of /proc/self/cgroup. */
  membership: string;
}

/** Where this process is, as the kernel tells it; empty where there is no /proc. */
function places(): Places {
  const read = (path: string) => {
    const text = attempt(() => readFileSync(path, "utf8"));
    return text === refused ? "" : text;
  };
  return { mounts: read("/proc/self/mountinfo"), membership: read("/proc/self/cgroup") };
}

export class Isolation {
  readonly #group: string;
  #hierarchies: Hierarchy[] = [];

  constructor(installation: string) {
    this.#group = `coffer-${installation.slice(0, 8)}`;
  }

  /** Finds out what is allowed by trying it: makes the group `coffer-<installation>` that holds those of the servers. */
  open(where: Places = places()): void {
    this.#hierarchies = detect(where, this.#group);
  }

  /** What holds limits of this kind; valid after open(). */
  controller(kind: Kind): Controller {
    const found = this.#hierarchies.find((one) => one.kinds.includes(kind));
    if (!found) return "none";
    return found.version === 2 ? "cgroup2" : "cgroup1";
  }

  /** The server's group in each hierarchy, made or not. */
  groups(server: string): string[] {
    return this.#hierarchies.map((one) => join(one.directory, server));
  }

  /**
   * Makes the groups and sets the limits. False while a memory limit is below what is in use: to be
   * tried again. `known` are groups of earlier starts of Coffer, in which the server may still live.
   */
  async limit(server: string, flavor: Flavor, known: readonly string[] = []): Promise<boolean> {
    let settled = true;
    for (const hierarchy of this.#hierarchies) {
      const group = join(hierarchy.directory, server);
      await mkdir(group, { recursive: true });
      for (const kind of hierarchy.kinds) if (!(await set(hierarchy.version, kind, group, flavor))) settled = false;
    }
    const current = this.groups(server);
    for (const group of known.filter((one) => !current.includes(one))) {
      for (const { version, kind, file } of limitFiles) {
        if (writable(join(group, file)) && !(await set(version, kind, group, flavor))) settled = false;
      }
    }
    return settled;
  }

  /** Removes the installation's own groups where no server has one any more. */
  close(): void {
    for (const { directory } of this.#hierarchies) removeGroup(directory);
  }
}

/** `groups` may come from an earlier start of Coffer, in another group. Absent = success; false while something runs in one. */
export function removeGroups(groups: readonly string[]): boolean {
  return groups.map(removeGroup).every(Boolean);
}

function removeGroup(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return true;
    if (["EBUSY", "ENOTEMPTY"].includes(codeOf(error) ?? "")) return false;
    throw error;
  }
}

/** Not synchronous: the kernel may take its time to bring a group below its new limit. */
async function set(version: 1 | 2, kind: Kind, group: string, flavor: Flavor): Promise<boolean> {
  const bytes = (flavor.ramMb + AGENT_MB) * 1024 * 1024;
  if (kind === "pids") await writeFile(join(group, "pids.max"), `${PIDS_MAX}`);
  else if (kind === "cpu" && version === 2) await writeFile(join(group, "cpu.max"), `${flavor.vcpus * PERIOD_US} ${PERIOD_US}`);
  else if (kind === "cpu") {
    await writeFile(join(group, "cpu.cfs_period_us"), `${PERIOD_US}`);
    await writeFile(join(group, "cpu.cfs_quota_us"), `${flavor.vcpus * PERIOD_US}`);
  } else if (version === 2) {
    // A limit below what is in use would kill the engine; it shrinks first, by its own restart.
    if (Number(await readFile(join(group, "memory.current"), "utf8")) > bytes) return false;
    await writeFile(join(group, "memory.max"), `${bytes}`);
  } else {
    try {
      await writeFile(join(group, "memory.limit_in_bytes"), `${bytes}`);
    } catch (error) {
      // More is in use and cannot be reclaimed.
      if (codeOf(error) !== "EBUSY") throw error;
      return false;
    }
  }
  return true;
}

function detect(where: Places, group: string): Hierarchy[] {
  const found: Hierarchy[] = [];
  const missing = () => kinds.filter((kind) => !found.some((one) => one.kinds.includes(kind)));
  const own = groupsOf(where);
  for (const one of own) {
    if (one.version !== 2) continue;
    const hierarchy = second(one, group);
    if (hierarchy) found.push(hierarchy);
  }
  for (const one of own) {
    if (one.version !== 1) continue;
    const wanted = one.controllers.filter((kind) => missing().includes(kind));
    const hierarchy = wanted.length > 0 ? first({ ...one, controllers: wanted }, group) : undefined;
    if (hierarchy) found.push(hierarchy);
  }
  return found;
}

interface OwnGroup {
  version: 1 | 2;
  mount: string;
  directory: string;
  controllers: Kind[];
}

/** The control group of this process in each hierarchy that is mounted. */
function groupsOf({ mounts, membership }: Places): OwnGroup[] {
  const mine = membership.split("\n").map((line) => /^(\d+):([^:]*):(.*)$/.exec(line)).filter((line) => line !== null);
  return mounts.split("\n").flatMap((line): OwnGroup[] => {
    const [left = "", right = ""] = line.split(" - ");
    const [, , , rooted = "/", mount = ""] = left.split(" ");
    const [type, , options = ""] = right.split(" ");
    if (type !== "cgroup" && type !== "cgroup2") return [];
    const controllers = type === "cgroup" ? kinds.filter((kind) => options.split(",").includes(kind)) : [];
    if (type === "cgroup" && controllers.length === 0) return [];
    const member = mine.find(([, id, names = ""]) =>
      type === "cgroup2" ? id === "0" : controllers.some((kind) => names.split(",").includes(kind)),
    );
    if (!member) return [];
    // In a container the mount may show only a part of the tree, and our path be given from its root or ours.
    const path = member[3] ?? "/";
    const inside = rooted !== "/" && path.startsWith(rooted) ? path.slice(rooted.length) : rooted === "/" ? path : "";
    return [{ version: type === "cgroup2" ? 2 : 1, mount, directory: join(mount, inside), controllers }];
  });
}

function first(own: OwnGroup, group: string): Hierarchy | undefined {
  const directory = join(own.directory, group);
  const files = { memory: "memory.limit_in_bytes", cpu: "cpu.cfs_quota_us", pids: "pids.max" };
  if (attempt(() => mkdirSync(directory, { recursive: true })) === refused) return undefined;
  const usable = own.controllers.filter((kind) => writable(join(directory, files[kind])));
  if (usable.length > 0) return { version: 1, directory, kinds: usable };
  removeGroup(directory);
  return undefined;
}

function second(own: OwnGroup, group: string): Hierarchy | undefined {
  for (let at = own.directory; ; at = dirname(at)) {
    const offered = kinds.filter((kind) => words(join(at, "cgroup.controllers")).includes(kind));
    if (offered.length === 0) return undefined;
    if (delegate(at, offered)) {
      const directory = join(at, group);
      const made = attempt(() => mkdirSync(directory, { recursive: true }));
      if (made !== refused && delegate(directory, offered)) return { version: 2, directory, kinds: offered };
      if (made !== refused) removeGroup(directory);
    }
    if (at === own.mount || limited(at)) return undefined;
  }
}

/** True when children of this group can have limits of these kinds. */
function delegate(directory: string, offered: Kind[]): boolean {
  const file = join(directory, "cgroup.subtree_control");
  const missing = offered.filter((kind) => !words(file).includes(kind));
  if (missing.length === 0) return writable(file);
  return attempt(() => writeFileSync(file, missing.map((kind) => `+${kind}`).join(" "))) !== refused;
}

const limited = (directory: string) =>
  ["memory.max", "cpu.max", "pids.max"].some((file) => {
    const [limit = "max"] = words(join(directory, file));
    return limit !== "max";
  });

function words(path: string): string[] {
  const text = attempt(() => readFileSync(path, "utf8"));
  return typeof text === "string" ? text.split(/\s+/).filter(Boolean) : [];
}

const writable = (path: string) => attempt(() => accessSync(path, constants.W_OK)) !== refused;

const refused = Symbol("refused");

/** What the kernel does not let us do is an answer here, not an error. */
function attempt<T>(work: () => T): T | typeof refused {
  try {
    return work();
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
    return refused;
  }
}
