import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "#test/support/cluster";
import { installation, run, type Running } from "#test/support/service";

/** Backups with Debian's unmodified client, of a real server that is written to meanwhile; what is restored is compared row by row. In order. */
let place: Awaited<ReturnType<typeof installation>>;
let service: Running;
let pg1 = "";
const secret = "pw-of-alice-7Bk2";

type Row = Record<string, unknown>;
const openstack = (command: string, cloud = "coffer") => run("openstack", ["--os-cloud", cloud, ...command.split(" ")], { OS_CLIENT_CONFIG_FILE: place.clouds });
const ok = async (command: string, cloud?: string) => {
  const { code, stdout, stderr } = await openstack(command, cloud);
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  return stdout;
};
const json = async <T>(command: string, cloud?: string) => JSON.parse(await ok(`${command} -f json`, cloud)) as T;
const psql = async (address: string, sql: string, user = "alice", database = "app", password = secret) => {
  const done = await run("psql", ["-X", "-A", "-t", "-c", sql, `host=${address} user=${user} dbname=${database} sslmode=verify-full sslrootcert=${place.ca} connect_timeout=5`], { PGPASSWORD: password });
  expect(done).toMatchObject({ code: 0 });
  return done.stdout.trim();
};

async function healthy(name: string): Promise<string> {
  let address = "";
  await until(async () => {
    const seen = await json<Row>(`database instance show ${name}`);
    if (seen.status === "ERROR") throw new Error(JSON.stringify(seen));
    address = String((seen.ip as string | undefined) ?? "");
    return seen.status === "ACTIVE" && seen.operating_status === "HEALTHY";
  }, `${name} to be HEALTHY`, 60_000);
  return address;
}

async function completed(name: string): Promise<Row> {
  let seen: Row = {};
  await until(async () => {
    seen = await json<Row>(`database backup show ${name}`);
    if (seen.status === "FAILED") throw new Error(JSON.stringify(seen));
    return seen.status === "COMPLETED";
  }, `${name} to be COMPLETED`, 60_000);
  return seen;
}

const sums = (address: string) => psql(address, "select count(*), md5(string_agg(word, '' order by id)) from words");
const grow = (from: number, to: number) => psql(pg1, `insert into words select g, md5(g::text) from generate_series(${from}, ${to}) g`);
/** Names of the project's objects in a container, by Swift's API. */
async function objects(container: string): Promise<string[]> {
  const { id, project_id: project } = await json<{ id: string; project_id: string }>("token issue");
  const reply = await fetch(`${place.url}/objects/v1/AUTH_${project}/${container}?limit=1000`, { headers: { "x-auth-token": id } });
  return (await reply.text()).split("\n").filter((line) => line !== "");
}

beforeAll(async () => {
  place = await installation();
  service = await place.start();
  await ok(`database instance create pg1 --flavor small --size 1 --datastore postgresql --datastore-version 17 --databases app --users alice:${secret}`);
  pg1 = await healthy("pg1");
  await psql(pg1, "create table words (id int primary key, word text)");
  await grow(1, 50_000);
});
afterAll(async () => {
  await service?.stop();
  await place?.remove();
});

test("strategies choose the container of what is backed up from then on", async () => {
  await ok("database backup strategy create --swift-container nightly");
  expect(await json<Row[]>("database backup strategy list")).toMatchObject([{ "Swift Container": "nightly" }]);
});

test("a backup under writes is completed, listed and shown, and its instance serves on", async () => {
  const busy = psql(pg1, "do $$ begin for i in 50001..52000 loop insert into words values (i, md5(i::text)); commit; end loop; end $$");
  const created = await json<Row>("database backup create full --instance pg1 --description of-the-day");
  expect(created).toMatchObject({ name: "full", status: "NEW", description: "of-the-day", parent_id: null, size: null });
  const shown = await completed("full");
  await busy;
  expect(shown.size).toBeGreaterThan(0);
  expect(shown.locationRef).toMatch(/\/nightly\/backups\/[0-9a-f-]{36}\/manifest$/);
  expect(await json<Row[]>("database backup list")).toMatchObject([{ Name: "full", Status: "COMPLETED" }]);
  await healthy("pg1");
  expect((await objects("nightly")).filter((name) => name.endsWith("/manifest"))).toEqual([`backups/${String(shown.id)}/manifest`]);
});

test("an increment has the newest one for its parent, and holds less than the whole", async () => {
  await grow(60_000, 61_000);
  await ok("database backup create more --instance pg1 --incremental");
  const [full, more] = [await completed("full"), await completed("more")];
  expect(more.parent_id).toBe(full.id);
  const stored = async (id: unknown) => (await json<Row>(`database backup show ${String(id)}`)).stored_size as number;
  expect(await stored(more.id)).toBeLessThan(await stored(full.id));
});

test("an instance that begins with the increment has every row of that moment and none since, its users, and those it asked for", async () => {
  const before = await sums(pg1);
  await grow(70_000, 70_100);
  await ok(`database instance create pg2 --flavor small --size 1 --datastore postgresql --datastore-version 17 --backup more --databases extra --users bob:pw-of-bob-1`);
  const pg2 = await healthy("pg2");
  expect(await sums(pg2)).toBe(before);
  expect((await json<Row[]>("database user list pg2")).map(({ Name }) => Name)).toEqual(["alice", "bob"]);
  expect((await json<Row[]>("database db list pg2")).map(({ Name }) => Name)).toEqual(["app", "extra"]);
  expect(await psql(pg2, "select 1", "bob", "extra", "pw-of-bob-1")).toBe("1");
  // Both go their own ways.
  await psql(pg2, "delete from words");
  expect(await sums(pg1)).not.toBe(before);
});

test("what does not fit is refused in words", async () => {
  const wrong = await openstack("database instance create pg3 --flavor small --size 1 --datastore postgresql --datastore-version 16 --backup full");
  expect(wrong.stderr).toMatch(/of postgresql 17\.\d+, and the new instance would be 16/);
  expect((await openstack("database backup show full", "coffer-alt")).code).not.toBe(0);
});

test("a backup outlives its instance and is restored without it", async () => {
  const before = await sums(pg1);
  await ok("database backup create last --instance pg1");
  await completed("last");
  await healthy("pg1");
  await ok("database instance delete pg1");
  await until(async () => (await openstack("database instance show pg1")).code !== 0, "pg1 to be gone", 60_000);
  await ok("database instance create pg4 --flavor small --size 2 --datastore postgresql --datastore-version 17 --backup last");
  expect(await sums(await healthy("pg4"))).toBe(before);
});

test("a backup that is deleted takes its children and its objects with it, though the instance is gone", async () => {
  const last = await completed("last");
  await ok("database backup delete full");
  expect(await json<Row[]>("database backup list")).toMatchObject([{ Name: "last" }]);
  await until(async () => (await objects("nightly")).every((name) => name.startsWith(`backups/${String(last.id)}/`)), "the objects to be gone", 90_000);
  expect(await objects("nightly")).toContain(`backups/${String(last.id)}/manifest`);
  await ok("database backup strategy delete");
  expect(await json<Row[]>("database backup strategy list")).toEqual([]);
});

test("nothing of the data can be read in the object store, and no key or password in what the service said", async () => {
  const { id } = await completed("last");
  const { id: token, project_id: project } = await json<{ id: string; project_id: string }>("token issue");
  const names = (await objects("nightly")).filter((name) => name.includes(String(id)));
  expect(names.length).toBeGreaterThan(1);
  for (const name of names) {
    const reply = await fetch(`${place.url}/objects/v1/AUTH_${project}/nightly/${name}`, { headers: { "x-auth-token": token } });
    const content = Buffer.from(await reply.arrayBuffer());
    for (const word of ["PG_VERSION", "words", "c4ca4238a0b923820dcc509a6f75849b"]) expect(content.includes(word), `${name} holds ${word}`).toBe(false);
  }
  const { rootKey } = JSON.parse(await readFile(join(place.home, "secrets.json"), "utf8")) as { rootKey: string };
  for (const word of [secret, rootKey]) expect(service.output().includes(word)).toBe(false);
});
