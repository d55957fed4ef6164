import { execFile } from "node:child_process";
import { readdir, readFile, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import postgres from "postgres";
import { expect, onTestFinished, test } from "vitest";
import { client, firstSql, type Seen } from "#test/bench/client";
import { until } from "#test/support/cluster";
import { engineRig, refusal, settings } from "#test/support/engine";
import { imagesWork } from "#test/support/local-cloud";
import { installation } from "#test/support/service";

const run = promisify(execFile);

/** An instance of 1 GB on a service of its own; its volume's directory, its server's log, and what the API shows. */
async function instance(env: Record<string, string>) {
  const place = await installation({ COFFER_HTTP_RATE_PER_MINUTE: "1000000", COFFER_POOL: "1", ...env });
  const service = await place.start();
  onTestFinished(async () => {
    await service.stop();
    await place.remove();
  });
  const api = await client(place.url, place.clouds);
  const id = await api.create("full");
  await firstSql(api, id, 50);
  const volumes = join(place.home, "data", "volumes");
  const directory = join(volumes, (await readdir(volumes))[0] ?? "", "data");
  const show = () => api.show(id);
  const { ip } = await show();
  const connect = () => {
    const sql = postgres(`postgres://alice:secret@${ip?.[0]}:5432/app`, { max: 1, ssl: { rejectUnauthorized: false }, fetch_types: false, onnotice: () => {} });
    onTestFinished(() => sql.end({ timeout: 0 }));
    return sql;
  };
  return {
    api,
    id,
    directory,
    show,
    connect,
    /** Whether the server ever met a full disk, or ended by one. */
    log: () => readFile(join(directory, "log", "postgresql.log"), "utf8"),
    shows: (what: string, condition: (seen: Seen) => Promise<boolean> | boolean) => until(async () => condition(await show()), what, 90_000),
  };
}

type Instance = Awaited<ReturnType<typeof instance>>;

const insert = "insert into t select repeat(md5(n::text), 200) from generate_series(1, 2000) n";

/** Leaves about 300 MB, and has two sessions write as fast as they can: a plain one, and one that insists. Returns what each was told in the end. */
async function fill({ directory, connect }: Instance): Promise<string[]> {
  const plain = connect();
  // Uncompressed: a page for each row.
  await plain.unsafe("create table t (filler text); alter table t alter filler set storage plain");
  await run("fallocate", ["-l", "550M", join(directory, "ballast")]);
  const write = async (sql: postgres.Sql, begin: string) => {
    for (let batch = 0; batch < 100; batch++) {
      const refused = await refusal(sql.unsafe(`${begin}; ${insert}; commit`));
      if (refused) return refused;
    }
    return "never refused";
  };
  return Promise.all([write(plain, "begin"), write(connect(), "begin read write")]);
}

/** Awaits that the instance is shown as read-only. What PostgreSQL itself had no room for may have been given back before the agent measured: then more is written. */
async function becomesReadOnly({ connect, shows }: Instance): Promise<void> {
  const plain = connect();
  await shows("read-only", async ({ operating_status, volume }) => {
    if (volume.read_only_since !== undefined) return operating_status === "ACTIVE";
    await refusal(plain.unsafe(`begin; ${insert}; commit`));
    return false;
  });
}

/** PostgreSQL's own refusal to write, or the end of a session that was at it. */
const refusals = /^(25006|57P01|CONNECTION_CLOSED)$/;
/** A file system of its own may be full before an agent gets its turn on a busy machine: then PostgreSQL refuses to extend a table, which harms nobody. */
const refusalsOfImages = /^(25006|57P0[123]|CONNECTION_CLOSED|53100)$/;

test.each([...((await imagesWork()) ? ["auto"] : []), "directory"])("a volume that is written full becomes read-only, serves on, and a resize heals it (COFFER_VOLUMES=%s)", async (volumes) => {
  const one = await instance({ COFFER_VOLUMES: volumes });
  for (const told of await fill(one)) expect(told).toMatch(volumes === "auto" ? refusalsOfImages : refusals);
  await becomesReadOnly(one);
  const seen = await one.show();
  expect(seen).toMatchObject({ status: "ACTIVE", operating_status: "ACTIVE" });
  expect(seen.fault?.message).toContain("volume.full");
  // Whoever goes on insisting is cut off before the last byte.
  const stubborn = one.connect();
  await until(async () => (await refusal(stubborn.unsafe(`begin read write; ${insert}; commit`))) !== "", "a refusal", 60_000);
  // A file system of its own can be full before anyone looked: then the server ends, and comes up by what was set aside for it.
  let rows = 0;
  await until(async () => (rows = (await one.connect()<{ n: number }[]>`select count(*)::int as n from t`.catch(() => [] as { n: number }[]))[0]?.n ?? 0) > 0, "the rows", 60_000);
  expect(rows).toBeGreaterThan(0);
  if (volumes === "directory") expect(await one.log()).not.toMatch(/PANIC/);
  const { bsize, bavail } = await statfs(one.directory);
  expect(bavail * bsize).toBeGreaterThan(0);

  // The size of a directory is soft: what went in before the agent had walked it needs room as well.
  const size = volumes === "auto" ? 2 : 8;
  await one.api.resizeVolume(one.id, size);
  await one.shows("healed", ({ status, operating_status, volume }) => status === "ACTIVE" && operating_status === "HEALTHY" && volume.size === size && volume.read_only_since === undefined);
  expect(await one.show()).not.toHaveProperty("fault");
  expect(await refusal(one.connect()`insert into t values ('again')`)).toBe("");
});

test("deleting data heals a read-only instance as well", async () => {
  const one = await instance({});
  await fill(one);
  await becomesReadOnly(one);
  expect(await refusal(one.connect()`drop table t`)).toBe("25006");
  await one.connect().unsafe("begin read write; drop table t; commit");
  await one.shows("healed", ({ operating_status, volume }) => operating_status === "HEALTHY" && volume.read_only_since === undefined);
  expect(await refusal(one.connect()`create table t (n int)`)).toBe("");
});

test.runIf(await imagesWork())("a server that ended for want of room for WAL comes up read-only, with what was set aside for it", async () => {
  const rig = await engineRig();
  const volume = rig.machine.volumeDirectory;
  const [image, filler] = [`${volume}.image`, join(volume, "filler")];
  onTestFinished(async () => {
    await rig.engine.stop();
    await run("umount", [volume]);
    await rig.close();
  });
  await run("truncate", ["-s", "1G", image]);
  await run("mkfs.ext4", ["-q", "-F", "-m", "1", image]);
  await run("mount", ["-o", "loop", image, volume]);
  await rig.engine.initialise();
  await rig.engine.start(settings);
  await rig.engine.createDatabases({ databases: [{ name: "app" }] });
  await rig.user("ann", "a", ["app"]);
  const ann = () => rig.connect("ann", "a", "app");
  await ann()`create table t as select 1 as n`;
  await rig.engine.limitWrites("open");
  const { bavail, bsize } = await statfs(volume);
  await run("fallocate", ["-l", String(Math.floor(bavail * 0.9) * bsize), filler]);
  // The last blocks one by one, as the engine's user, who may not have those that are root's.
  await expect(run("dd", ["if=/dev/zero", `of=${join(rig.pgdata, "filler")}`, "bs=4k"], { ...rig.machine.engineUser })).rejects.toThrow("No space left");

  const ended = rig.engine.exited();
  await rig.inside("app", async (sql) => {
    for (let count = 0; count < 500; count++) await sql`select pg_logical_emit_message(false, 'x', repeat('x', 1000000))`;
  }).catch(() => "PANIC");
  await ended;
  expect(await readFile(join(volume, "log", "postgresql.log"), "utf8")).toMatch(/PANIC.*No space left/);
  await rig.engine.start(settings);
  expect(await ann()`select n from t`).toEqual([{ n: 1 }]);
  expect(await refusal(ann()`insert into t values (2)`)).toBe("25006");
  expect(await readdir(volume)).not.toContain("reserve");
  // Its WAL has the room of what it had before, however much those write who insist: a checkpoint follows when they are cut off.
  await rig.inside("app", async (sql) => {
    for (let count = 0; count < 60; count++) {
      for (let mb = 0; mb < 4; mb++) await sql`select pg_logical_emit_message(false, 'x', repeat('x', 1000000))`;
      await sql`checkpoint`;
    }
  });
  expect(await ann()`select n from t`).toEqual([{ n: 1 }]);
  expect(await rig.engine.physical?.lost()).toBe(true);

  await Promise.all([rm(filler), rm(join(rig.pgdata, "filler"))]);
  await rig.engine.limitWrites("open");
  expect(await refusal(ann()`insert into t values (2)`)).toBe("");
  expect(await readdir(volume)).toContain("reserve");
});
