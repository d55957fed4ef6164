import { execFile, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, stat, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { LocalCloud } from "#core/driver/index";
import { isMounted } from "#core/driver/local/images";
import { arm, Crash } from "#core/failpoint";
import { build, call, demolish, imagesWork, Site } from "#test/support/local-cloud";
import { eventually, proc, runs } from "#test/support/processes";

const run = promisify(execFile);
const GB = 2 ** 30;

describe.runIf(await imagesWork())("volumes that are file systems", () => {
  let site: Site;
  beforeEach(async () => {
    site = await Site.make();
  });
  afterEach(() => site.close());

  const open = (change: Parameters<Site["open"]>[0] = {}) => site.open({ images: true, ...change });
  const engineOf = (server: string) => eventually(() => site.engine(server).then((pid) => runs(pid) && pid, () => undefined));
  const data = (name = "a") => join(site.root, "volumes", `${name}-volume`, "data");
  const bytes = async () => statfs(data()).then(({ blocks, bsize }) => blocks * bsize);
  /** Mounts and loop devices of this site. */
  const traces = () => [
    ...readFileSync("/proc/self/mountinfo", "utf8").split("\n").filter((line) => line.includes(site.base)),
    ...readdirSync("/sys/block").filter((name) => {
      const file = join("/sys/block", name, "loop", "backing_file");
      return existsSync(file) && readFileSync(file, "utf8").startsWith(site.base);
    }),
  ];
  const serverState = async (cloud: LocalCloud) => (await cloud.compute.find("a-server", call()))[0]?.state;

  test("what does not fit is refused by the volume's own file system, and only the engine's user looks in", async () => {
    const cloud = await open();
    await build(cloud, "a");
    await engineOf("a-server");
    expect(cloud.level().volume).toBe("ext4");
    await run("fallocate", ["-l", "800M", join(data(), "fits")]);
    await expect(run("fallocate", ["-l", "300M", join(data(), "more")])).rejects.toThrow(/No space left/);
    const { mode, uid } = await stat(data());
    expect([mode & 0o777, uid]).toEqual([0o700, (await site.machine("a-server")).engineUser?.uid ?? 0]);
    expect(proc(await engineOf("a-server"), "mountinfo").split("\n").find((line) => line.includes(`${data()} `))).toMatch(/nosuid,nodev,noexec/);
  });

  test("removal leaves no mount, no loop device and no image", async () => {
    const cloud = await open();
    await build(cloud, "a");
    expect(isMounted(data())).toBe(true);
    await demolish(cloud, "a");
    expect(traces()).toEqual([]);
    await eventually(() => readdirSync(join(site.root, "trash")).length === 0 && readdirSync(join(site.root, "volumes")).length === 0);
  });

  test("a resize makes the volume larger, for which the server goes down and comes back by itself, with its data", async () => {
    const cloud = await open();
    const { volume, server } = await build(cloud, "a");
    await writeFile(join(data(), "kept"), "kept");
    const [agent, engine] = [site.agent("a-server"), await engineOf("a-server")];
    const before = await bytes();
    expect((await cloud.volumes.resize(volume.id, 3, call())).sizeGb).toBe(3);
    expect(await bytes()).toBeGreaterThan(before + 1.9 * GB);
    expect(await readFile(join(data(), "kept"), "utf8")).toBe("kept");
    await eventually(async () => (await cloud.compute.get(server.id, call()))?.state === "ACTIVE" && site.agent("a-server") !== agent);
    expect(runs(engine)).toBe(false);
    // Once more changes nothing, for nobody.
    const now = await eventually(() => site.agent("a-server"));
    await cloud.volumes.resize(volume.id, 3, call());
    expect(site.agent("a-server")).toBe(now);
  });

  test("a volume without a server grows, and one that was never used is made in its last size", async () => {
    const cloud = await open();
    const { volume, server, spec } = await build(cloud, "a");
    await cloud.compute.remove(server.id, call());
    await cloud.volumes.resize(volume.id, 2, call());
    await cloud.compute.create(spec, call());
    expect(await bytes()).toBeGreaterThan(1.9 * GB);
    const unused = await cloud.volumes.create({ name: "b-volume", sizeGb: 1 }, call());
    await cloud.volumes.resize(unused.id, 2, call());
    expect(existsSync(join(data("b"), "..", "image"))).toBe(false);
  });

  test("mounts outlive Coffer, which finds them again; after an orderly stop there are none, and the next start mounts", async () => {
    const first = await open();
    await build(first, "a");
    const engine = await engineOf("a-server");
    await writeFile(join(data(), "kept"), "kept");
    await first.stop({ leaveRunning: true });
    expect(isMounted(data())).toBe(true);
    const second = await open();
    expect(runs(engine)).toBe(true);
    expect(traces()).toHaveLength(2);
    await second.stop({ leaveRunning: false });
    expect(traces()).toEqual([]);
    const third = await open();
    await eventually(async () => (await serverState(third)) === "ACTIVE");
    expect(await readFile(join(data(), "kept"), "utf8")).toBe("kept");
  });

  test("an agent that was killed is replaced while its engine works on in the mounted volume", async () => {
    const cloud = await open();
    await build(cloud, "a");
    const [agent, engine] = [await eventually(() => site.agent("a-server")), await engineOf("a-server")];
    process.kill(agent, "SIGKILL");
    await eventually(() => ![agent, undefined].includes(site.agent("a-server")));
    expect(runs(engine)).toBe(true);
    expect(await serverState(cloud)).toBe("ACTIVE");
    expect(traces()).toHaveLength(2);
  });

  test("a stranger in the volume keeps it from growing, not its server from serving, and not the volume from going", async () => {
    const cloud = await open();
    const { volume } = await build(cloud, "a");
    const stranger = spawn("/bin/sh", ["-c", "read line"], { cwd: data(), stdio: ["pipe", "ignore", "ignore"] });
    onTestFinished(() => void stranger.kill("SIGKILL"));
    await expect(cloud.volumes.resize(volume.id, 2, call())).rejects.toMatchObject({ reason: "volume.busy" });
    await eventually(async () => (await serverState(cloud)) === "ACTIVE");
    expect(await bytes()).toBeLessThan(GB);
    await demolish(cloud, "a");
    expect(isMounted(data())).toBe(false);
    stranger.kill("SIGKILL");
    await eventually(() => traces().length === 0);
  });

  test("a prepared content becomes the volume, grown to its size, and leaves nothing where it was", async () => {
    const place = join(site.base, "blank");
    const cloud: LocalCloud = await open({ prepare: (_, onto) => cloud.blanks.move(place, onto.path).then(() => true) });
    await cloud.blanks.make(place, (directory) => writeFile(join(directory, "prepared"), "content"));
    expect(await cloud.blanks.isComplete(place, () => false)).toBe(true);
    expect(traces()).toEqual([]);
    const volume = await cloud.volumes.create({ name: "a-volume", sizeGb: 2 }, call());
    await build(cloud, "a");
    expect(volume.sizeGb).toBe(2);
    expect(await readFile(join(data(), "prepared"), "utf8")).toBe("content");
    expect(await bytes()).toBeGreaterThan(1.9 * GB);
    expect(existsSync(place)).toBe(false);
  });

  test("what a killed preparation left is not complete, and is discarded with its mount", async () => {
    const cloud = await open();
    const place = join(site.base, "blank");
    // The filling never ends, as in a process that was killed.
    void cloud.blanks.make(place, () => new Promise(() => {}));
    await eventually(() => isMounted(join(place, "data")));
    expect(await cloud.blanks.isComplete(place, () => true)).toBe(false);
    await cloud.blanks.discard(place);
    expect([traces(), existsSync(place)]).toEqual([[], false]);
  });

  test("a probe that was killed in its middle is cleared away by the next", async () => {
    const place = join(site.root, ".image-probe");
    await mkdir(join(place, "data"), { recursive: true });
    await run("truncate", ["-s", "32M", join(place, "image")]);
    await run("mkfs.ext4", ["-q", "-F", join(place, "image")]);
    await run("mount", ["-o", "loop", join(place, "image"), join(place, "data")]);
    expect((await open()).level().volume).toBe("ext4");
    expect([traces(), existsSync(place)]).toEqual([[], false]);
  });

  test("a volume keeps its form: directories stay where images became possible", async () => {
    const first = await site.open();
    await build(first, "a");
    await first.stop({ leaveRunning: false });
    const second = await open();
    await build(second, "b");
    await eventually(() => isMounted(data("b")));
    expect(isMounted(data("a"))).toBe(false);
    await eventually(async () => (await serverState(second)) === "ACTIVE");
  });

  test.each(["volume.attach", "volume.attached", "volume.grow", "server.ended"])("a crash at %s leaves nothing once a later start has removed the instance", async (point) => {
    const cloud = await open();
    const disarm = arm(`local.${point}`, () => {
      throw new Crash(point);
    });
    onTestFinished(disarm);
    const course = async () => {
      const { volume } = await build(cloud, "a");
      await cloud.volumes.resize(volume.id, 2, call());
      await demolish(cloud, "a", 1);
    };
    await course().catch((error: unknown) => expect(error).toBeInstanceOf(Crash));
    disarm();
    await cloud.stop({ leaveRunning: true });
    const next = await open();
    await demolish(next, "a");
    expect(traces()).toEqual([]);
    await eventually(() => readdirSync(join(site.root, "volumes")).length === 0 && readdirSync(join(site.root, "trash")).length === 0);
  });
});
