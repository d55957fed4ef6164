import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { openstackOf } from "#test/support/clients";
import { installation, run, start, type Running } from "#test/support/service";
import { until } from "#test/support/cluster";

/** Starting and stopping, as a user meets it. */
type Place = Awaited<ReturnType<typeof installation>>;
const places: Place[] = [];
const services: Running[] = [];
afterEach(async () => {
  for (const service of services.splice(0)) await service.stop();
  for (const place of places.splice(0)) await place.remove();
});
const fresh = async (env?: Record<string, string>) => {
  const place = await installation(env);
  places.push(place);
  return place;
};
const begin = async (place: Place) => {
  const service = await place.start();
  services.push(service);
  return service;
};
/** What the start says when it cannot: code 1 and one line. */
const refusal = async (settings: Record<string, string>) => {
  const { code, stderr } = await run("npm", ["start", "--silent"], settings);
  const lines = stderr.split("\n").filter((line) => line.startsWith("coffer: "));
  return { code, lines: lines.length, text: lines.join("\n") };
};
const isRoot = process.getuid?.() === 0;

test("a taken port is told in one sentence that names the setting", async () => {
  const place = await fresh();
  const squatter = createServer().listen(place.port, "127.0.0.1");
  await new Promise((done) => squatter.once("listening", done));
  expect(await refusal(place.settings)).toEqual({
    code: 1,
    lines: 1,
    text: `coffer: Port ${place.port} on 127.0.0.1 is taken; set COFFER_PORT to a free one.`,
  });
  await new Promise((done) => squatter.close(done));
});

test("a state directory that is no directory is told in one sentence", async () => {
  const place = await fresh();
  const file = join(place.home, "file");
  await writeFile(file, "");
  const told = await refusal({ ...place.settings, COFFER_HOME: join(file, "home") });
  expect(told).toMatchObject({ code: 1, lines: 1 });
  expect(told.text).toContain("COFFER_HOME");
});

test.runIf(isRoot)("too little disk is told in one sentence that names the need", async () => {
  const place = await fresh();
  expect((await run("mount", ["-t", "tmpfs", "-o", "size=40m", "tmpfs", place.home])).code).toBe(0);
  try {
    const told = await refusal(place.settings);
    expect(told).toMatchObject({ code: 1, lines: 1 });
    expect(told.text).toMatch(/Only \d+ MB are free .* needs 512 MB/);
  } finally {
    await run("umount", [place.home]);
  }
});

test("a setting that is out of bounds is named with its rule", async () => {
  const place = await fresh({ COFFER_POOL: "-3" });
  const told = await refusal(place.settings);
  expect(told).toMatchObject({ code: 1, lines: 1 });
  expect(told.text).toContain("COFFER_POOL");
});

test("broken secrets and a broken state database are told, and nothing of them is overwritten", async () => {
  const place = await fresh();
  expect(await (await place.start()).stop()).toBe(0);
  const path = join(place.home, "secrets.json");
  const good = await readFile(path, "utf8");
  await writeFile(path, good.slice(0, 100));
  const told = await refusal(place.settings);
  expect(told).toMatchObject({ code: 1, lines: 1 });
  expect(told.text).toContain("secrets.json is damaged");
  expect(await readFile(path, "utf8")).toBe(good.slice(0, 100));
  await writeFile(path, good);
  const { installation: id } = JSON.parse(good) as { installation: string };
  const roots = [join(place.home, "data"), join("/var/lib/coffer", id)];
  for (const root of roots) await writeFile(join(root, "state/pgdata/PG_VERSION"), "9\n").catch(() => undefined);
  const broken = await refusal(place.settings);
  expect(broken).toMatchObject({ code: 1, lines: 1 });
  expect(broken.text).toContain("state database");
});

test("a second service in the same home is refused; in another one it runs side by side", async () => {
  const one = await fresh();
  await begin(one);
  const two = await fresh();
  const told = await refusal({ ...one.settings, COFFER_PORT: String(two.port) });
  expect(told.text).toContain("Another Coffer already runs");
  await begin(two);
  for (const { url } of [one, two]) expect((await fetch(`${url}/healthcheck`)).status).toBe(200);
});

test("SIGINT to the whole process group, as a terminal sends it, stops everything in order", async () => {
  const place = await fresh();
  const service = await place.start();
  // npm itself ends by the signal, as programs do that were interrupted: the service's own words count.
  await service.stop("SIGINT");
  await until(() => service.output().includes('"stopped"'), "the service to stop");
  await expect(fetch(`${place.url}/healthcheck`)).rejects.toThrow();
});

test("SIGTERM to npm stops everything in order", async () => {
  const place = await fresh();
  const service = await place.start();
  expect(await service.stop("SIGTERM")).toBe(0);
  expect(service.output()).toContain("stopped");
});

test.runIf(isRoot)("an ordinary user gets a database too, and is told that it is one trust domain", async () => {
  const nobody = { uid: 65534, gid: 65534 };
  const home = await mkdtemp(join(tmpdir(), "coffer-e2e-user-"));
  await chmod(home, 0o755);
  await chown(home, nobody.uid, nobody.gid);
  const place = await fresh();
  const settings = { ...place.settings, COFFER_HOME: join(home, "state"), HOME: home };
  const service = await start(settings, nobody);
  try {
    expect(service.output()).toContain("one trust domain");
    const { ok } = openstackOf({ clouds: join(home, "state/clouds.yaml") });
    await ok("database instance create pg1 --flavor tiny --size 1 --datastore postgresql --databases app --users alice:secret");
    await until(async () => (await ok("database instance show pg1")).includes("HEALTHY"), "pg1", 60_000);
  } finally {
    await service.stop();
    await rm(home, { recursive: true, force: true });
  }
});

test.runIf(isRoot)("a home that other users cannot reach works: data goes to /var/lib/coffer, and its permissions stay", async () => {
  const closed = await mkdtemp(join(tmpdir(), "coffer-e2e-closed-"));
  await chmod(closed, 0o700);
  await mkdir(join(closed, "home"));
  const place = await fresh();
  const settings = { ...place.settings, COFFER_HOME: join(closed, "home") };
  const service = await start(settings);
  try {
    const { installation: id } = JSON.parse(await readFile(join(closed, "home/secrets.json"), "utf8")) as { installation: string };
    expect((await run("ls", [join("/var/lib/coffer", id)])).stdout).toContain("state");
    expect((await run("stat", ["-c", "%a", closed])).stdout.trim()).toBe("700");
    await service.stop();
    await rm(join("/var/lib/coffer", id), { recursive: true, force: true });
  } finally {
    await service.stop();
    await rm(closed, { recursive: true, force: true });
  }
});
