import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { client, variablesOf, type User } from "#test/support/clients";
import { until } from "#test/support/cluster";
import { installation, run, type Running } from "#test/support/service";

/**
 * Modules with the unmodified `trove` command (the OpenStack client has none for them, except for clusters), against a
 * started service and a real server. The tests are one life of one instance, in order.
 */
let place: Awaited<ReturnType<typeof installation>>;
let service: Running;
const SECRET = "word-that-nobody-may-log-7Kq";

beforeAll(async () => {
  place = await installation();
  service = await place.start();
});
afterAll(async () => {
  await service?.stop();
  await place?.remove();
});

const call = async (user: User, ...args: string[]) => client("trove", args, await variablesOf(place, user));
const ok = async (user: User, ...args: string[]) => {
  const { code, stdout, stderr } = await call(user, ...args);
  expect(`${code} ${stderr}${stdout}`).toMatch(/^0 /);
  return stdout;
};
const trove = (...args: string[]) => ok("demo", ...args);
const file = async (name: string, contents: string) => {
  const path = join(place.home, name);
  await writeFile(path, contents);
  return path;
};
/** The cells of a table that the client prints, without its head, and without the `b'…'` of its Python 2 days. Rows come in the order of their first cell. */
const table = (text: string) =>
  text
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .slice(1)
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim().replace(/^b['"](.*)['"]$/, "$1")));
const shown = (text: string) => Object.fromEntries(table(text).map(([name, value]) => [name ?? "", value]));
const psql = async (sql: string) => {
  const instance = shown(await trove("show", "pg1"));
  const { stdout, stderr } = await run("psql", ["-X", "-A", "-t", "-c", sql, `host=${instance.ip} user=alice dbname=app sslmode=require`], { PGPASSWORD: "pw-of-alice" });
  return `${stdout}${stderr}`.trim();
};

test("modules are created, listed and shown; an instance gets what it asks for and what administrators have every one given", async () => {
  expect(shown(await trove("module-create", "hello", "ping", await file("hello", `message=${SECRET}\n`)))).toMatchObject({ name: "hello", type: "ping", datastore: "all" });
  await trove("module-create", "search", "postgresql_extensions", await file("search", "extension=pg_trgm\nextension=citext\n"), "--datastore", "postgresql", "--live_update");
  await ok("admin", "module-create", "everywhere", "ping", await file("auto", "message=by itself\n"), "--auto_apply", "--all_tenants", "--hidden");
  expect((await call("demo", "module-create", "mine", "ping", await file("auto", "message=x\n"), "--auto_apply")).stderr).toContain("HTTP 403");
  expect((await call("demo", "module-create", "bad", "new_relic_license", await file("bad", "x"))).stderr).toContain("HTTP 404");
  expect(table(await trove("module-list")).map((row) => row[1]).sort()).toEqual(["hello", "search"]);
  await trove("create", "pg1", "tiny", "--size", "1", "--datastore", "postgresql", "--databases", "app", "--users", "alice:pw-of-alice", "--module", "hello");
  await until(async () => shown(await trove("show", "pg1")).status === "ACTIVE", "pg1 to be ACTIVE", 60_000);
  expect(table(await trove("module-query", "pg1")).map((row) => [row[0], row[4], row[5]])).toEqual([["hello", "OK", SECRET]]);
  expect(table(await ok("admin", "module-query", shown(await trove("show", "pg1")).id ?? "")).map((row) => row[5]).sort()).toEqual(["by itself", SECRET].sort());
});

test("a module is applied, changed, reapplied and removed, and the server follows", async () => {
  expect(table(await trove("module-apply", "pg1", "search")).map((row) => [row[0], row[4], row[5]])).toEqual([["search", "OK", "pg_trgm, citext in app"]]);
  expect(await psql("select string_agg(extname, ',' order by extname) from pg_extension where extname <> 'plpgsql'")).toBe("citext,pg_trgm");
  expect(table(await trove("module-instance-count", "search")).map((row) => row.slice(4))).toEqual([["True", "1"]]);
  await trove("module-update", "search", "--file", await file("search", "extension=pg_trgm\nextension=hstore\n"), "--type", "postgresql_extensions");
  expect(table(await trove("module-instance-count", "search")).map((row) => row.slice(4))).toEqual([["False", "1"]]);
  await trove("module-reapply", "search", "--batch_size", "10", "--delay", "2");
  await until(async () => (await psql("select string_agg(extname, ',' order by extname) from pg_extension where extname <> 'plpgsql'")) === "hstore,pg_trgm", "the new extensions");
  expect(table(await trove("module-instances", "search")).map((row) => row[1])).toEqual(["pg1"]);
  expect(table(await trove("module-list-instance", "pg1")).map((row) => row[1]).sort()).toEqual(["hello", "search"]);
  await trove("module-remove", "pg1", "search");
  expect(await psql("select count(*) from pg_extension where extname <> 'plpgsql'")).toBe("0");
});

test("contents come back to their owner, and stand nowhere else", async () => {
  await trove("module-retrieve", "pg1", "--directory", place.home, "--prefix", "got_");
  expect(await readFile(join(place.home, "got_hello_all_all.dat"), "utf8")).toBe(`message=${SECRET}\n`);
  expect((await call("demo", "module-delete", "hello")).stderr).toContain("HTTP 403");
  expect((await call("alt", "module-show", shown(await trove("module-show", "hello")).id ?? "")).stderr).toContain("No module with a name or ID");
  const base64 = Buffer.from(`message=${SECRET}\n`).toString("base64").slice(0, 30);
  for (const secret of [`message=${SECRET}`, base64]) expect(service.output().includes(secret)).toBe(false);
  await trove("module-remove", "pg1", "hello");
  await trove("module-delete", "hello");
  expect(table(await trove("module-list")).map((row) => row[1]).sort()).toEqual(["search"]);
});
