import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "#test/support/cluster";
import { installation, run, type Running } from "#test/support/service";

/** A restore to a second, of a real server whose log is archived while it is written to. In order. */
let place: Awaited<ReturnType<typeof installation>>;
let service: Running;
let pg1 = "";
let id = "";
let api = "";
let token = "";
const secret = "pw-of-alice-2Tm9";
/** What was there when: the server's clock, and the sum over all rows. */
const noted: { at: string; sum: string }[] = [];

type Row = Record<string, unknown>;
const openstack = (command: string) => run("openstack", ["--os-cloud", "coffer", ...command.split(" ")], { OS_CLIENT_CONFIG_FILE: place.clouds });
const json = async <T>(command: string): Promise<T> => {
  const { code, stdout, stderr } = await openstack(`${command} -f json`);
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  return JSON.parse(stdout) as T;
};
const psql = async (address: string, sql: string) => {
  const done = await run("psql", ["-X", "-A", "-t", "-c", sql, `host=${address} user=alice dbname=app sslmode=verify-full sslrootcert=${place.ca} connect_timeout=5`], { PGPASSWORD: secret });
  expect(done).toMatchObject({ code: 0 });
  return done.stdout.trim();
};
const sum = "select count(*) || ' ' || coalesce(md5(string_agg(word, '' order by id)), '') from words";
const ask = async (method: string, path: string, body?: object) => {
  const reply = await fetch(`${api}${path}`, { method, headers: { "x-auth-token": token, "content-type": "application/json" }, ...(body && { body: JSON.stringify(body) }) });
  return { status: reply.status, text: await reply.text() };
};
const show = async (instance: string) => (JSON.parse((await ask("GET", `/instances/${instance}`)).text) as { instance: Row & { ip?: string[]; point_in_time?: { earliest: string | null; latest: string | null; gaps: object[] } } }).instance;
async function healthy(instance: string): Promise<string> {
  let seen = await show(instance);
  await until(async () => {
    seen = await show(instance);
    if (seen.status === "ERROR") throw new Error(JSON.stringify(seen));
    return seen.status === "ACTIVE" && seen.operating_status === "HEALTHY";
  }, `${instance} to be HEALTHY`, 90_000);
  return seen.ip?.[0] ?? "";
}

beforeAll(async () => {
  // It is looked at as often as it takes.
  place = await installation({ COFFER_HTTP_RATE_PER_MINUTE: "100000" });
  service = await place.start();
  const issued = await json<{ id: string; project_id: string }>("token issue");
  token = issued.id;
  api = `${place.url}/v1.0/${issued.project_id}`;
  const created = await ask("POST", "/instances", { instance: { name: "pg1", flavorRef: "1", volume: { size: 1 }, databases: [{ name: "app" }], users: [{ name: "alice", password: secret, databases: [{ name: "app" }] }] } });
  expect(created.status).toBe(200);
  id = (JSON.parse(created.text) as { instance: { id: string } }).instance.id;
  pg1 = await healthy(id);
  await psql(pg1, "create table words (id serial primary key, word text)");
});
afterAll(async () => {
  await service?.stop();
  await place?.remove();
});

test("a backup opens the window, and what is written moves its end on", async () => {
  expect((await ask("POST", "/backups", { backup: { name: "base", instance: id } })).status).toBe(202);
  await healthy(id);
  for (let round = 0; round < 3; round++) {
    await psql(pg1, `insert into words (word) select md5(g::text) from generate_series(${round * 1000}, ${round * 1000 + 999}) g`);
    noted.push({ sum: await psql(pg1, sum), at: (await psql(pg1, "select pg_sleep(1.1), to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS')")).replace(/^\|/, "") });
    await psql(pg1, "select pg_sleep(1.1)");
  }
  await psql(pg1, "delete from words");
  const last = noted.at(-1)?.at ?? "";
  await until(async () => ((await show(id)).point_in_time?.latest ?? "") > last, "the archive to reach the last moment", 150_000);
  const window = (await show(id)).point_in_time;
  expect(window).toMatchObject({ gaps: [] });
  expect(window?.earliest).not.toBeNull();
});

test("instances restored to noted seconds have what was committed by then, though all of it is deleted since", async () => {
  expect(await psql(pg1, sum)).toBe("0");
  for (const { at, sum: wanted } of noted.filter((_, index) => index !== 1)) {
    const reply = await ask("POST", "/instances", { instance: { name: "then", flavorRef: "1", volume: { size: 1 }, restorePoint: { instance: id, targetTime: at } } });
    expect(reply.status, reply.text).toBe(200);
    const address = await healthy((JSON.parse(reply.text) as { instance: { id: string } }).instance.id);
    expect(await psql(address, sum)).toBe(wanted);
  }
});

test("a moment before the first backup, or in the future, is refused with the bounds", async () => {
  const at = (targetTime: string) => ask("POST", "/instances", { instance: { name: "no", flavorRef: "1", volume: { size: 1 }, restorePoint: { instance: id, targetTime } } });
  expect(await at("2020-01-01T00:00:00")).toMatchObject({ status: 400, text: expect.stringContaining("the first backup ended at") as string });
  expect(await at("2999-01-01T00:00:00")).toMatchObject({ status: 400, text: expect.stringContaining("the archive reaches to") as string });
});
