import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { mappedUids, pickRoot, publishEngine, reachable, uidRange } from "#core/driver/index";
import { Isolation } from "#core/driver/local/isolation";
import { RunDirectories } from "#core/driver/local/rundir";
import { nextUid } from "#core/driver/local/users";

let base: string;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "coffer-place-"));
  await chmod(base, 0o755);
});
afterEach(() => rm(base, { recursive: true, force: true }));

const modeOf = async (path: string) => (await stat(path)).mode & 0o777;

test("a directory is reachable only if every one above it is", async () => {
  await mkdir(join(base, "open", "inner"), { recursive: true });
  expect(await reachable(join(base, "open", "inner"))).toBe(true);
  await chmod(join(base, "open"), 0o700);
  expect(await reachable(join(base, "open", "inner"))).toBe(false);
});

test("data lives in the home where engines reach it or need not, and stays where it is", async () => {
  const where = { home: join(base, "home"), installation: "0123456789abcdef-test", privileged: true };
  await mkdir(where.home, { mode: 0o755 });
  expect(await pickRoot(where)).toBe(join(where.home, "data"));
  await mkdir(join(where.home, "data", "volumes"));
  await chmod(where.home, 0o700);
  expect(await pickRoot(where)).toBe(join(where.home, "data"));
  expect(await modeOf(where.home)).toBe(0o700);
});

test.runIf(process.getuid?.() === 0)("data lives outside a home that engines cannot reach, whose permissions stay", async () => {
  const installation = `test-${process.pid}-${Date.now()}`;
  const home = join(base, "home");
  await mkdir(home, { mode: 0o700 });
  const root = await pickRoot({ home, installation, privileged: true });
  try {
    expect(root).toBe(join("/var/lib/coffer", installation));
    expect(await reachable(root)).toBe(true);
    expect(await modeOf(root)).toBe(0o711);
    expect(await modeOf(home)).toBe(0o700);
    expect(await pickRoot({ home, installation, privileged: false })).toBe(join(home, "data"));
  } finally {
    await rm(root, { recursive: true });
  }
});

async function engine(mode: number): Promise<string> {
  const native = join(base, "closed", "native");
  await mkdir(join(native, "bin"), { recursive: true });
  await writeFile(join(native, "bin", "server"), "program", { mode });
  await symlink("server", join(native, "bin", "alias"));
  await chmod(join(base, "closed"), 0o700);
  return native;
}

test("an engine that others cannot run is published once, whole, and the original keeps its permissions", async () => {
  const native = await engine(0o700);
  const root = join(base, "root");
  const [place, again] = await Promise.all([publishEngine(native, root), publishEngine(native, root)]);
  expect(again).toBe(place);
  expect(await publishEngine(native, root)).toBe(place);
  expect(await reachable(join(place, "bin"))).toBe(true);
  expect(await readFile(join(place, "bin", "alias"), "utf8")).toBe("program");
  expect(await modeOf(join(place, "bin", "server"))).toBe(0o755);
  expect(await modeOf(join(native, "bin", "server"))).toBe(0o700);
  expect(await readdir(join(root, "engines"))).toHaveLength(1);
});

test("an engine that changed is published anew, and one that everybody can run is not copied", async () => {
  const native = await engine(0o755);
  const root = join(base, "root");
  const first = await publishEngine(native, root);
  await writeFile(join(native, "bin", "library"), "more");
  expect(await publishEngine(native, root)).not.toBe(first);
  await chmod(join(base, "closed"), 0o755);
  expect(await publishEngine(native, root)).toBe(native);
});

test("user ids are chosen behind the last one, wrap round, and leave the state database's alone", () => {
  const range = { first: 100, end: 104 };
  expect(nextUid(range, new Set())).toBe(100);
  expect(nextUid(range, new Set([100]))).toBe(101);
  expect(nextUid(range, new Set([102]))).toBe(100);
  expect(() => nextUid(range, new Set([100, 101, 102]))).toThrow(/no user id left/);
});

test("an installation's user ids exist here, are always the same, and differ from another's", async () => {
  const mapped = await mappedUids();
  for (const count of [mapped, 65_536]) {
    const range = uidRange("one", count);
    expect(range).toEqual(uidRange("one", count));
    expect(range).not.toEqual(uidRange("two", count));
    expect(range.end).toBeLessThan(2 ** 31);
    expect(range.end).toBeLessThanOrEqual(Math.max(count, 65_536));
  }
});

test("a socket's path is short however deep the root is, and a stranger's directory is refused", async () => {
  const root = join(base, "deep".repeat(20), "deeper".repeat(10));
  const installation = `test-${process.pid}-${Date.now()}`;
  const run = new RunDirectories({ root, installation, privileged: false });
  const made = await run.make("a-server", undefined);
  const above = join(made, "..");
  try {
    expect(made.length).toBeLessThanOrEqual(75);
    expect(await modeOf(made)).toBe(0o700);
    await chmod(above, 0o777);
    await expect(run.make("b-server", undefined)).rejects.toMatchObject({ reason: "driver.run_directory" });
    await run.remove("a-server");
    await run.remove("a-server");
  } finally {
    await rm(above, { recursive: true });
  }
});

/** A directory tree that looks like a version 2 hierarchy; what the kernel would refuse is beyond it. */
async function hierarchy(limits: { service: string }) {
  const service = join(base, "slice", "service");
  await mkdir(service, { recursive: true });
  for (const group of [base, join(base, "slice"), service]) {
    await writeFile(join(group, "cgroup.controllers"), "cpu memory pids\n");
    await writeFile(join(group, "cgroup.subtree_control"), group === service ? "" : "cpu memory pids\n");
  }
  await writeFile(join(service, "memory.max"), `${limits.service}\n`);
  return {
    service,
    where: { mounts: `1 0 0:1 / ${base} rw - cgroup2 cgroup2 rw\n`, membership: "0::/slice/service\n" },
  };
}

test("version 2: limits are those of the flavor plus the agent's share, below our own group", async () => {
  const { service, where } = await hierarchy({ service: "max" });
  const isolation = new Isolation("0123456789abcdef");
  // The kernel makes this file with the group.
  await mkdir(join(service, "coffer-01234567", "a-server"), { recursive: true });
  await writeFile(join(service, "coffer-01234567", "cgroup.subtree_control"), "cpu memory pids");
  await writeFile(join(service, "coffer-01234567", "a-server", "memory.current"), "1000\n");
  isolation.open(where);
  expect([isolation.controller("memory"), isolation.controller("cpu")]).toEqual(["cgroup2", "cgroup2"]);
  const [group = ""] = isolation.groups("a-server");
  expect(group).toBe(join(service, "coffer-01234567", "a-server"));
  expect(await isolation.limit("a-server", { id: "1", ramMb: 512, vcpus: 2 })).toBe(true);
  expect(await readFile(join(group, "memory.max"), "utf8")).toBe(String((512 + 128) * 1024 * 1024));
  expect(await readFile(join(group, "cpu.max"), "utf8")).toBe("200000 100000");
  // A later start, from somewhere without groups, still reaches the server where it lives.
  const later = new Isolation("0123456789abcdef");
  expect(await later.limit("a-server", { id: "2", ramMb: 1024, vcpus: 1 }, [group, join(base, "gone")])).toBe(true);
  expect(await readFile(join(group, "memory.max"), "utf8")).toBe(String((1024 + 128) * 1024 * 1024));
  expect(await readFile(join(group, "cpu.max"), "utf8")).toBe("100000 100000");
});

test("version 2: a memory limit below what is in use waits, for it would kill the engine", async () => {
  const { service, where } = await hierarchy({ service: "max" });
  const group = join(service, "coffer-01234567", "a-server");
  await mkdir(group, { recursive: true });
  await writeFile(join(service, "coffer-01234567", "cgroup.subtree_control"), "cpu memory pids");
  await writeFile(join(group, "memory.current"), String(2 ** 31));
  const isolation = new Isolation("0123456789abcdef");
  isolation.open(where);
  expect(await isolation.limit("a-server", { id: "1", ramMb: 512, vcpus: 2 })).toBe(false);
  expect(await readdir(group)).not.toContain("memory.max");
});

test("without control groups there are no limits, and nothing is pretended", async () => {
  const isolation = new Isolation("0123456789abcdef");
  isolation.open({ mounts: "", membership: "" });
  expect([isolation.controller("memory"), isolation.controller("cpu"), isolation.groups("a")]).toEqual(["none", "none", []]);
  expect(await isolation.limit("a", { id: "1", ramMb: 512, vcpus: 1 })).toBe(true);
});
