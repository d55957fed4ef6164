import { readdirSync, statSync } from "node:fs";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "#test/support/cluster";
import { proc } from "#test/support/processes";
import { rest, type Shown } from "#test/support/rest";
import { installation, type Running } from "#test/support/service";

/** Many at once, through one started service: requests of one tenant, and versions of an engine. */
const versions = ["16", "17", "18"];
let place: Awaited<ReturnType<typeof installation>>;
let service: Running;
let api: ReturnType<typeof rest>;
const made = new Map<string, Shown>();

beforeAll(async () => {
  place = await installation();
  service = await place.start();
  api = rest(place);
  const ids = await Promise.all(versions.map(async (version) => (await api.create(`pg${version}`, version)).body.instance.id));
  for (const [index, id] of ids.entries()) {
    await until(async () => {
      const seen = await api.show(id);
      if (seen.status === "ERROR") throw new Error(seen.fault?.message);
      made.set(versions[index] ?? "", seen);
      return seen.status === "ACTIVE" && seen.operating_status === "HEALTHY";
    }, "ACTIVE", 60_000, 250);
  }
});
afterAll(async () => {
  await service?.stop();
  await place?.remove();
});

/** One question to an instance, over TCP and TLS. */
async function query(version: string, statement: string, user = "alice", password = "pw-of-alice"): Promise<postgres.Row> {
  const sql = postgres({ host: made.get(version)?.ip?.[0] ?? "", port: 5432, user, password, database: "app", max: 1, ssl: { rejectUnauthorized: false }, connect_timeout: 10 });
  try {
    const [row] = await sql.unsafe(statement);
    return row ?? {};
  } finally {
    await sql.end();
  }
}

test("ten users and ten databases asked for at once are all made, each once", async () => {
  const id = made.get("17")?.id ?? "";
  const users = Array.from({ length: 10 }, (_, index) => `user${index}`);
  const databases = Array.from({ length: 10 }, (_, index) => `db${index}`);
  const answers = await Promise.all([
    ...users.map((name) => api.ask("POST", `/instances/${id}/users`, { users: [{ name, password: `pw-of-${name}`, databases: [{ name: "app" }] }] })),
    ...databases.map((name) => api.ask("POST", `/instances/${id}/databases`, { databases: [{ name }] })),
  ]);
  expect(answers.map(({ status }) => status)).toEqual(Array<number>(20).fill(202));
  const all = { users: ["alice", ...users], databases: ["app", ...databases] };
  await until(async () => (await api.names(id, "users")).length >= 11 && (await api.names(id, "databases")).length >= 11, "all of them", 30_000, 250);
  expect({ users: await api.names(id, "users"), databases: await api.names(id, "databases") }).toEqual(all);
  for (const name of users) {
    await until(() => query("17", "select 1", name, `pw-of-${name}`).then(() => true, () => false), `${name} to get in`, 30_000, 100);
  }
  await expect(query("17", "select 1", "user1", "pw-of-user2")).rejects.toMatchObject({ code: "28P01" });
});

test("three versions side by side share nothing: address, system identifier, directory, and as root the user", async () => {
  const seen = await Promise.all(
    versions.map(async (version) => {
      const row = await query(version, "select current_setting('server_version') as number, system_identifier::text as identifier from pg_control_system()");
      return { version, number: String(row.number), identifier: String(row.identifier), address: made.get(version)?.ip?.[0] ?? "" };
    }),
  );
  for (const { version, number } of seen) expect(number.split(".")[0]).toBe(version);
  // The postmasters of this installation; their children carry other titles.
  const own = readdirSync("/proc")
    .map(Number)
    .filter(Number.isInteger)
    .map((pid) => ({ pid, words: proc(pid, "cmdline").split("\0") }))
    .map(({ pid, words }) => ({ pid, directory: words[words.indexOf("-D") + 1] ?? "" }))
    .filter(({ directory }) => directory.startsWith(`${place.home}/data/volumes/`))
    .map(({ pid, directory }) => ({ directory, uid: statSync(`/proc/${pid}`).uid }));
  expect(own).toHaveLength(3);
  const different = (values: unknown[]) => new Set(values).size;
  expect([different(seen.map(({ address }) => address)), different(seen.map(({ identifier }) => identifier)), different(own.map(({ directory }) => directory))]).toEqual([3, 3, 3]);
  expect(different(own.map(({ uid }) => uid))).toBe(process.getuid?.() === 0 ? 3 : 1);
  for (const { uid } of own) expect(uid === 0).toBe(false);
});
