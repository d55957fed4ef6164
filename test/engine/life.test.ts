import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { getPriority, setPriority } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, expect, test } from "vitest";
import { hydrate } from "#core/engine/postgresql/cluster";
import { adoptVolume, createPostgresql, prepareVolume } from "#core/engine/postgresql/index";
import { crashOnce } from "#core/failpoint";
import { until } from "#test/support/cluster";
import { engineRig, settings, startedEngine, type Rig } from "#test/support/engine";

const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;
let rig: Rig;
afterEach(() => rig.close());

/** A dead process that nobody has taken note of yet has no command line. */
const isAlive = async (pid: number) => (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")) !== "";

async function withData() {
  rig = await startedEngine();
  await rig.engine.createDatabases({ databases: [{ name: "app" }] });
  await rig.user("ann", "a", ["app"]);
  await rig.connect("ann", "a", "app").unsafe("create table t as select generate_series(1, 1000) as n");
}

test("a killed server is seen at once, and comes back with all that was committed", async () => {
  await withData();
  const ended = rig.engine.exited();
  process.kill(await rig.pid(), "SIGKILL");
  await ended;
  expect(await rig.engine.health()).toBe("crashed");
  await rig.engine.start(settings);
  expect(await rig.engine.health()).toBe("healthy");
  expect(await rig.connect("ann", "a", "app")`select count(*)::int as n from t`).toEqual([{ n: 1000 }]);
});

test.runIf(isRoot)("a server does not inherit the precedence of the agent that starts it", async () => {
  rig = await engineRig();
  await rig.engine.initialise();
  setPriority(-5);
  await rig.engine.start(settings).finally(() => setPriority(0));
  expect(getPriority(await rig.pid())).toBe(0);
  const ofSession = await rig.inside("postgres", async (sql) => (await sql<{ pid: number }[]>`select pg_backend_pid() as pid`).map(({ pid }) => getPriority(pid)));
  expect(ofSession).toEqual([0]);
});

test("backends that outlive their killed postmaster do not keep the server from starting", async () => {
  await withData();
  const session = rig.connect("ann", "a", "app");
  const [{ pid } = { pid: 0 }] = await session<{ pid: number }[]>`select pg_backend_pid() as pid`;
  // Never waits for anything, and so never learns that the postmaster is gone.
  const spinning = session.unsafe("do $$ begin loop end loop; end $$").catch(() => "ended");
  await until(async () => (await rig.inside("postgres", (sql) => sql`select from pg_stat_activity where pid = ${pid} and state = 'active'`)).length === 1, "the endless loop");
  process.kill(await rig.pid(), "SIGKILL");
  await rig.engine.exited();
  expect(await isAlive(pid)).toBe(true);
  await rig.engine.start(settings);
  expect(await isAlive(pid)).toBe(false);
  expect(await spinning).toBe("ended");
  expect(await rig.connect("ann", "a", "app")`select count(*)::int as n from t`).toEqual([{ n: 1000 }]);
});

test("another agent adopts the running server without a restart, sees its end, and brings it back", async () => {
  await withData();
  const pid = await rig.pid();
  const session = rig.connect("ann", "a", "app");
  await session`select 1`;
  await rig.engine.close();
  const next = rig.again();
  expect(await next.initialised()).toBe(true);
  expect(await next.health()).toBe("healthy");
  await next.start({ ...settings, cidrs: ["127.0.0.0/8"] });
  expect(await rig.pid()).toBe(pid);
  expect(await session`select 1 as n`).toEqual([{ n: 1 }]);
  const ended = next.exited();
  process.kill(pid, "SIGKILL");
  await ended;
  expect(await next.health()).toBe("crashed");
  await next.start(settings);
  expect(await next.health()).toBe("healthy");
  await next.stop();
  expect(await rig.again().health()).toBe("shutdown");
});

test("a server that does not answer is running, not healthy and not crashed", async () => {
  await withData();
  const pid = await rig.pid();
  process.kill(pid, "SIGSTOP");
  try {
    expect(await rig.engine.health()).toBe("running");
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await until(async () => (await rig.engine.health()) === "healthy", "the server to answer again");
});

test("the pid file of a dead server whose number is another process's by now is no server", async () => {
  await withData();
  await rig.engine.stop();
  const file = join(rig.pgdata, "postmaster.pid");
  await writeFile(file, `${process.pid}\n${rig.pgdata}\n1700000000\n5432\n/tmp\n127.0.0.1\n  1 1\nready   \n`);
  if (isRoot && rig.machine.engineUser) await run("chown", [`${rig.machine.engineUser.uid}`, file]);
  expect(await rig.engine.health()).toBe("shutdown");
  await rig.engine.stop();
  await rig.engine.start(settings);
  expect(await rig.engine.health()).toBe("healthy");
});

test.each(["postgresql.prepare", "postgresql.initialise", "postgresql.marker"])("initialising goes on after a crash at %s, and only then is it complete", async (point) => {
  rig = await engineRig();
  const disarm = crashOnce(point);
  await expect(rig.engine.initialise()).rejects.toThrow("crashed");
  disarm();
  expect(await rig.engine.initialised()).toBe(false);
  await expect(rig.engine.start(settings)).rejects.toMatchObject({ code: "conflict" });
  await rig.engine.initialise();
  await rig.engine.initialise();
  expect(await rig.engine.initialised()).toBe(true);
  await rig.engine.start(settings);
  expect((await readdir(rig.machine.volumeDirectory)).sort()).toEqual(["conf", "engine.json", "log", "pgdata", "superuser", "wal"]);
});

test("a prepared pair is adopted as it is, and every pair is a cluster of its own", async () => {
  rig = await engineRig();
  const { engineDirectory: native, volumeDirectory: directory, engineUser } = rig.machine;
  const from = `${directory}-prepared`;
  await prepareVolume({ native, directory: from });
  const password = await readFile(join(from, "superuser"), "utf8");
  const identity = async (data: string) => (await readFile(join(data, "global", "pg_control"))).readBigUInt64LE(0);
  const prepared = await identity(join(from, "pgdata"));
  await adoptVolume({ from, directory, ...(engineUser && { as: engineUser }) });
  await rig.engine.initialise();
  await rig.engine.start(settings);
  expect(await identity(rig.pgdata)).toBe(prepared);
  expect(await readFile(join(directory, "superuser"), "utf8")).toBe(password);
  await prepareVolume({ native, directory: from });
  expect(await identity(join(from, "pgdata"))).not.toBe(prepared);
});

test("a volume that lost a part is reported, never made anew", async () => {
  rig = await startedEngine();
  await rig.engine.stop();
  await rm(join(rig.machine.volumeDirectory, "superuser"));
  await expect(rig.engine.initialised()).rejects.toMatchObject({ code: "instanceFault" });
  await expect(rig.engine.initialise()).rejects.toMatchObject({ code: "instanceFault" });
  expect((await stat(join(rig.pgdata, "PG_VERSION"))).isFile()).toBe(true);
});

test("data of another major version is not touched", async () => {
  rig = await startedEngine();
  await rig.engine.stop();
  const other = await engineRig("16");
  try {
    const mixed = { ...rig.machine, engineDirectory: other.machine.engineDirectory };
    await expect(createPostgresql(mixed, "16").start(settings)).rejects.toMatchObject({ code: "instanceFault", reason: "engine.version" });
  } finally {
    await other.close();
  }
});

test("an address that is taken is told in PostgreSQL's words", async () => {
  rig = await startedEngine();
  const second = await engineRig();
  try {
    second.machine.address = rig.machine.address;
    await second.engine.initialise();
    await expect(second.engine.start(settings)).rejects.toMatchObject({ code: "serviceUnavailable", message: expect.stringContaining("could not create any TCP/IP sockets") as string });
    expect(await second.engine.health()).toBe("shutdown");
  } finally {
    await second.close();
  }
});

test("only the engine's user reads the data, and not even it the agent's password", async () => {
  rig = await startedEngine();
  const { volumeDirectory, runDirectory, engineUser } = rig.machine;
  const look = async (...path: string[]) => {
    const { mode, uid } = await stat(join(volumeDirectory, ...path));
    return `${(mode & 0o777).toString(8)} ${uid === engineUser?.uid ? "engine" : "agent"}`;
  };
  expect(await look("pgdata")).toBe(engineUser ? "700 engine" : "700 agent");
  expect(await look("superuser")).toBe("600 agent");
  expect(await look("log", "postgresql.log")).toBe("600 agent");
  expect(await look("conf", "postgresql.conf")).toBe(engineUser ? "640 agent" : "600 agent");
  expect((await stat(runDirectory)).mode & 0o777).toBe(0o700);
});

test("what would need a restart later is set from the start, and nothing is kept that nobody asked for", async () => {
  rig = await startedEngine();
  const rows = await rig.inside("postgres", (sql) => sql<{ name: string; setting: string }[]>`
    select name, setting from pg_settings
    where name in ('wal_level', 'archive_mode', 'wal_log_hints', 'data_checksums', 'hot_standby', 'listen_addresses', 'log_statement', 'password_encryption') order by name`);
  expect(Object.fromEntries(rows.map((row) => [row.name, row.setting]))).toEqual({
    archive_mode: "on",
    data_checksums: "on",
    hot_standby: "on",
    listen_addresses: rig.machine.address,
    log_statement: "none",
    password_encryption: "scram-sha-256",
    wal_level: "replica",
    wal_log_hints: "on",
  });
  const segments = () => rig.inside("postgres", (sql) => sql<{ n: number }[]>`select count(*)::int as n from pg_ls_archive_statusdir() where name like '%.ready'`);
  for (let n = 0; n < 3; n++) await rig.inside("postgres", (sql) => sql.unsafe(`create table w${n} (); select pg_switch_wal()`));
  await until(async () => (await segments())[0]?.n === 0, "the archiver to let go of all WAL");
});

test("a run directory with too long a name is refused before anything starts", async () => {
  rig = await engineRig();
  const long = { ...rig.machine, runDirectory: `/tmp/${"x".repeat(90)}` };
  expect(() => createPostgresql(long, "17")).toThrow("too long");
});

test("missing library links are made again, also by two at once", async () => {
  rig = await engineRig();
  const native = join(rig.machine.volumeDirectory, "pg17");
  await mkdir(native);
  await run("cp", ["-a", `${rig.machine.engineDirectory}/.`, native]);
  await run("find", [join(native, "lib"), "-maxdepth", "1", "-type", "l", "-delete"]);
  await Promise.all([hydrate(native), hydrate(native)]);
  await chmod(join(native, "lib"), 0o555);
  await hydrate(native);
  await chmod(join(native, "lib"), 0o755);
  expect((await run(join(native, "bin", "postgres"), ["--version"])).stdout).toContain("17.");
});
