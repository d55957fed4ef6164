import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { Onto } from "#core/driver/index";
import { arm, Crash } from "#core/failpoint";
import { boot, build, call, demolish, privileged, SERVICE_PORT, Site } from "#test/support/local-cloud";
import { eventually, proc, runs } from "#test/support/processes";

let site: Site;
beforeEach(async () => {
  site = await Site.make();
});
afterEach(() => site.close());

const kill = (pid: number | undefined) => process.kill(pid ?? 0, "SIGKILL");
const engineOf = (server: string) => eventually(() => site.engine(server).then((pid) => runs(pid) && pid, () => undefined));

/** Lines of /proc/<pid>/cgroup that name a group of this installation. */
const groupsOf = (pid: number) => proc(pid, "cgroup").split("\n").filter((line) => line.includes(`coffer-${site.installation.slice(0, 8)}`));

/** Every trace that instance `name` may leave on this machine, apart from processes. */
function leftovers(): string[] {
  const below = (path: string) => (existsSync(path) ? readdirSync(path).map((name) => join(path, name)) : []);
  const groups = ["memory", "cpu", "pids"].flatMap((kind) => findGroups(join("/sys/fs/cgroup", kind)));
  return [...["servers", "volumes", "ports", "trash", "run"].flatMap((kind) => below(join(site.root, kind))), ...groups.filter((path) => path.endsWith("-server"))];
}

function findGroups(directory: string): string[] {
  if (!existsSync(directory)) return [];
  const inside = readdirSync(directory, { recursive: true, encoding: "utf8" });
  const own = `coffer-${site.installation.slice(0, 8)}`;
  return inside.filter((path) => path.endsWith(own) || (path.includes(`${own}/`) && path.endsWith("-server")));
}

describe("supervision", () => {
  test("a rebuild ends agent and engine, and the next agent finds its own boot data and nothing of the one before", async () => {
    const cloud = await site.open();
    const { server, spec } = await build(cloud, "a");
    const [before, engine] = [site.agent("a-server"), await engineOf("a-server")];
    const note = join(site.directory("a-server"), "state", "keys.json");
    await writeFile(note, "{}");
    const what = { image: spec.image, imageId: "", boot: { ...spec.boot, generation: 2, token: "another" } };
    await cloud.compute.rebuild(server.id, what, call());
    const after = await eventually(() => site.agent("a-server") !== before && site.agent("a-server"));
    expect([runs(engine), existsSync(note)]).toEqual([false, false]);
    expect(JSON.parse(readFileSync(join(site.directory("a-server"), "boot.json"), "utf8"))).toMatchObject({ generation: 2, token: "another" });
    // The token is used up: who has booted with it stays.
    await cloud.compute.rebuild(server.id, what, call());
    expect(site.agent("a-server")).toBe(after);
  });

  test("an agent that was killed comes back, and its engine never stopped", async () => {
    const cloud = await site.open();
    const { server } = await build(cloud, "a");
    const [before, engine] = [site.agent("a-server"), await engineOf("a-server")];
    kill(before);
    await eventually(() => site.agent("a-server") !== undefined && site.agent("a-server") !== before);
    expect(await site.engine("a-server")).toBe(engine);
    expect(runs(engine)).toBe(true);
    expect((await cloud.compute.get(server.id, call()))?.state).toBe("ACTIVE");
  });

  test("a new cloud on the same root adopts living agents and starts dead ones", async () => {
    const first = await site.open();
    await build(first, "a");
    await build(first, "b");
    const [a, b] = [site.agent("a-server"), site.agent("b-server")];
    const engine = await engineOf("b-server");
    await first.stop({ leaveRunning: true });
    kill(b);
    const second = await site.open();
    const revived = await eventually(() => site.agent("b-server") !== b && site.agent("b-server"));
    expect(site.agent("a-server")).toBe(a);
    expect(await site.engine("b-server")).toBe(engine);
    for (const server of await second.compute.list(call())) {
      await eventually(async () => (await second.compute.get(server.id, call()))?.state === "ACTIVE");
    }
    // Adopted, not only found: it is watched from now on.
    kill(a);
    await eventually(() => ![a, undefined].includes(site.agent("a-server")));
    expect(runs(revived)).toBe(true);
  });

  test("an orderly stop ends engines, and the next start brings every server back", async () => {
    const first = await site.open();
    const { server } = await build(first, "a");
    const engine = await engineOf("a-server");
    await first.stop({ leaveRunning: false });
    expect(runs(engine)).toBe(false);
    expect(site.agent("a-server")).toBeUndefined();
    const second = await site.open();
    await eventually(async () => (await second.compute.get(server.id, call()))?.state === "ACTIVE");
    expect(await engineOf("a-server")).not.toBe(engine);
  });

  test("a reboot replaces agent and engine", async () => {
    const cloud = await site.open();
    const { server } = await build(cloud, "a");
    const [agent, engine] = [site.agent("a-server"), await engineOf("a-server")];
    await cloud.compute.reboot(server.id, call());
    expect(await eventually(() => site.agent("a-server"))).not.toBe(agent);
    await eventually(async () => (await engineOf("a-server")) !== engine);
    expect(runs(engine)).toBe(false);
  });

  test("a server that was powered off has no process, however they hang, and stays off when Coffer starts again", async () => {
    const first = await site.open();
    const { server } = await build(first, "a");
    const [agent, engine] = [await eventually(() => site.agent("a-server")), await engineOf("a-server")];
    for (const pid of [agent, engine]) process.kill(pid, "SIGSTOP");
    await first.compute.stop(server.id, call());
    expect([runs(agent), runs(engine)]).toEqual([false, false]);
    await first.stop({ leaveRunning: true });
    const second = await site.open();
    expect((await second.compute.get(server.id, call()))?.state).toBe("SHUTDOWN");
    expect(site.agent("a-server")).toBeUndefined();
    await second.compute.reboot(server.id, call());
    expect(runs(await engineOf("a-server"))).toBe(true);
  });

  test("an agent that keeps dying turns its server to ERROR, with exit code and last words", async () => {
    const cloud = await site.open();
    const { server } = await build(cloud, "a", { boot: { ...boot, token: "refuse" } });
    const seen = await eventually(async () => {
      const found = await cloud.compute.get(server.id, call());
      return found?.state === "ERROR" && found;
    }, 20_000);
    expect(seen.fault).toContain("exit code 3");
    expect(seen.fault).toContain("this boot data will not do");
  });

  test("an agent runs in its own session and inherits nothing but PATH and its mark", async () => {
    const cloud = await site.open();
    await build(cloud, "a");
    const pid = await eventually(() => site.agent("a-server"));
    await eventually(() => proc(pid, "cmdline").includes("agent.mjs") && !proc(pid, "cmdline").startsWith("/bin/sh"));
    const names = proc(pid, "environ").split("\0").filter(Boolean).map((one) => one.split("=")[0]);
    expect(names.filter((name) => name !== "PWD").sort()).toEqual(["COFFER_SERVER_DIRECTORY", "PATH"]);
    expect(proc(pid, "stat").split(") ")[1]?.split(" ")[3]).toBe(String(pid));
  });

  test("prepare is asked for an empty volume only", async () => {
    const asked: string[] = [];
    const prepare = async (image: { version: string }, onto: Onto) => {
      asked.push(image.version);
      await writeFile(join(onto.path, "data"), "");
      return true;
    };
    const cloud = await site.open({ prepare });
    const { server } = await build(cloud, "a");
    await cloud.compute.reboot(server.id, call());
    expect(asked).toEqual(["17"]);
  });
});

describe("removal", () => {
  test("leaves no process, directory, control group or address, even where the agent left its engine behind", async () => {
    const cloud = await site.open({ limits: true });
    await build(cloud, "a");
    const engine = await engineOf("a-server");
    await writeFile(join(site.directory("a-server"), "state", "careless"), "");
    await demolish(cloud, "a");
    expect(runs(engine)).toBe(false);
    expect(site.agent("a-server")).toBeUndefined();
    await eventually(() => leftovers().length === 0);
  });

  test.each([true, false])("finds an engine whose environment tells nothing (own users: %s)", async (own) => {
    const cloud = await site.open({ privileged: own && privileged });
    await build(cloud, "a");
    const engine = await engineOf("a-server");
    expect(proc(engine, "environ")).not.toContain("COFFER_");
    await writeFile(join(site.directory("a-server"), "state", "careless"), "");
    await demolish(cloud, "a");
    expect(runs(engine)).toBe(false);
  });

  test.each([true, false])("spares a stranger who works in the volume's directory (own users: %s)", async (own) => {
    const cloud = await site.open({ privileged: own && privileged });
    await build(cloud, "a");
    const { volumeDirectory } = await site.machine("a-server");
    const stranger = spawn("/bin/sh", ["-c", "read line"], { cwd: volumeDirectory, stdio: ["pipe", "ignore", "ignore"] });
    onTestFinished(() => void stranger.kill("SIGKILL"));
    await cloud.compute.remove((await cloud.compute.find("a-server", call()))[0]?.id ?? "", call());
    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
    expect(runs(stranger.pid ?? 0)).toBe(true);
  });

  test("of one installation leaves another on the same machine alone", async () => {
    const other = await Site.make();
    onTestFinished(() => other.close());
    const cloud = await site.open();
    const neighbour = await other.open();
    await Promise.all([build(cloud, "a"), build(neighbour, "a")]);
    const agent = other.agent("a-server");
    await demolish(cloud, "a");
    await cloud.stop({ leaveRunning: false });
    expect(other.agent("a-server")).toBe(agent);
    expect(runs(agent ?? 0)).toBe(true);
  });
});

describe("a crash", () => {
  const points = [
    "volume.create", "volume.fill", "volume.created", "port.create", "port.claim", "port.created", "server.create", "server.fill",
    "server.created", "server.limit", "server.spawn", "server.removing", "server.ended", "server.remove", "server.removed", "port.remove",
    "volume.remove", "volume.removed",
  ];
  test.each(points)("at %s leaves nothing once a later start has removed the instance", async (point) => {
    const cloud = await site.open();
    const disarm = arm(`local.${point}`, () => {
      throw new Crash(point);
    });
    onTestFinished(disarm);
    // Some points are met in the background, where the caller's verb succeeds.
    const crash = await build(cloud, "a").then(() => demolish(cloud, "a", 1)).catch((error: unknown) => error);
    if (crash) expect(crash).toBeInstanceOf(Crash);
    disarm();
    await cloud.stop({ leaveRunning: true });
    const next = await site.open();
    await demolish(next, "a");
    expect(site.agent("a-server")).toBeUndefined();
    await eventually(() => leftovers().length === 0);
  });
});

test("what a kill left half made is cleared away at the next start, and nothing else", async () => {
  const first = await site.open();
  await build(first, "a");
  await first.stop({ leaveRunning: true });
  const before = leftovers().sort();
  for (const half of ["servers/.new-1", "volumes/.new-1", "trash/a-volume.1"]) {
    await mkdir(join(site.root, half, "data"), { recursive: true });
    await writeFile(join(site.root, half, "data", "file"), "");
  }
  await writeFile(join(site.root, "ports", "1.new"), "{");
  await site.open();
  await eventually(() => JSON.stringify(leftovers().sort()) === JSON.stringify(before));
});

describe("addresses", () => {
  const spec = (name: string) => ({ name, servicePort: SERVICE_PORT, ingress: null, isPublic: false });

  test("lie in the installation's own range, never in 127.0", async () => {
    const cloud = await site.open();
    const port = await cloud.network.create(spec("p"), call());
    expect(port.address).toMatch(/^127\.\d+\.\d+\.\d+$/);
    expect(port.address).not.toMatch(/^127\.0\./);
    expect(port.port).toBe(SERVICE_PORT);
  });

  test("where the system has no other, 127.0.0.1 serves with ports of their own", async () => {
    // Documentation addresses: no machine has them.
    const cloud = await site.open({ addressRange: "198.51" });
    const made = await Promise.all(["p", "q"].map((name) => cloud.network.create(spec(name), call())));
    expect(made.map(({ address }) => address)).toEqual(["127.0.0.1", "127.0.0.1"]);
    expect(new Set(made.map(({ port }) => port)).size).toBe(2);
  });

  test("where somebody listens on every address, a port of its own is given", async () => {
    const wildcard = createServer().listen(SERVICE_PORT + 1, "0.0.0.0");
    onTestFinished(() => void wildcard.close());
    await once(wildcard, "listening");
    const cloud = await site.open();
    const port = await cloud.network.create({ ...spec("p"), servicePort: SERVICE_PORT + 1 }, call());
    expect(port.port).not.toBe(SERVICE_PORT + 1);
  });
});

describe("isolation", () => {
  test("every volume has an owner of its own, kept over a restart, and nobody else may look into it", async () => {
    const first = await site.open();
    await build(first, "a");
    await first.stop({ leaveRunning: false });
    const second = await site.open();
    await build(second, "b");
    const [a, b] = [await site.machine("a-server"), await site.machine("b-server")];
    for (const { volumeDirectory, engineUser } of [a, b]) {
      const found = await stat(volumeDirectory);
      expect(found.mode & 0o777).toBe(0o700);
      if (engineUser) expect([found.uid, found.gid]).toEqual([engineUser.uid, engineUser.gid]);
    }
    expect(second.level().users).toBe(a.engineUser !== undefined);
    if (a.engineUser) {
      expect(a.engineUser.uid).not.toBe(b.engineUser?.uid);
      expect(proc(await engineOf("a-server"), "status")).toContain(`Uid:\t${a.engineUser.uid}\t${a.engineUser.uid}`);
    }
  });

  test("the level that is shown is the level that agent and engine live in", async () => {
    const cloud = await site.open({ limits: true });
    const { server } = await build(cloud, "a");
    const level = cloud.level();
    const pids = [await eventually(() => site.agent("a-server")), await engineOf("a-server")];
    for (const pid of pids) expect(groupsOf(pid).length > 0).toBe(level.memory !== "none" || level.cpu !== "none");
    if (level.memory !== "cgroup1") return;
    const limit = () => {
      const [path = ""] = groupsOf(pids[0] ?? 0).filter((line) => line.includes(":memory:")).map((line) => line.split(":")[2] ?? "");
      return Number(readFileSync(join("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes"), "utf8")) / 1024 / 1024;
    };
    expect(limit()).toBe(512 + 128);
    await cloud.compute.resize(server.id, { id: "2", ramMb: 1024, vcpus: 2 }, call());
    expect(limit()).toBe(1024 + 128);
    await cloud.stop({ leaveRunning: false });
    expect(findGroups("/sys/fs/cgroup")).toEqual([]);
  });
});
