import { afterAll, beforeAll, expect, test } from "vitest";
import type postgres from "postgres";
import { scramVerifier } from "#core/guest/scram";
import { refusal, startedEngine, type Rig } from "#test/support/engine";

let rig: Rig;
let root: postgres.Sql;
beforeAll(async () => {
  rig = await startedEngine();
  await rig.engine.createDatabases({ databases: [{ name: "app" }] });
  await rig.user("before", "b", ["app"]);
  await rig.engine.enableRoot({ verifier: await scramVerifier("r00t") });
  await rig.user("after", "a", ["app"]);
  root = rig.connect("root", "r00t", "app");
});
afterAll(() => rig.close());

const denied = "42501";

test.each([
  ["a program on the host, by COPY", "copy (select 1) to program 'id'"],
  ["a program on the host, by COPY FROM", "do $$ begin create temp table out (l text); copy out from program 'id'; end $$"],
  ["a file of the server's", "select pg_read_file('postgresql.auto.conf')"],
  ["a file of the host's", "select pg_read_binary_file('/etc/passwd')"],
  ["a file, by COPY", "do $$ begin create temp table f (l text); copy f from '/etc/passwd'; end $$"],
  ["a file, by writing", "copy (select 1) to '/tmp/x'"],
  ["a file, as a large object", "select lo_import('/etc/passwd')"],
  ["a directory", "select pg_ls_dir('/')"],
  ["the settings of the server", "alter system set shared_preload_libraries = 'x'"],
  ["the settings, by the command line of archiving", "alter system set archive_command = 'id'"],
  ["the agent's role", "set role os_admin"],
  ["the agent's session", "set session authorization os_admin"],
  ["the agent's password", "alter role os_admin password 'x'"],
  ["the passwords of all", "select rolpassword from pg_authid"],
  ["the server-program role", "grant pg_execute_server_program to root"],
  ["the server-file roles", "grant pg_read_server_files to root"],
  ["the server-file roles, for writing", "grant pg_write_server_files to after"],
  ["the rights of the agent", "grant os_admin to root"],
  ["the owner of databases, for others", "grant coffer_owner to after"],
  ["superuser", "alter role root superuser"],
  ["replication", "create role r replication"],
  ["bypassing row security", "create role r bypassrls"],
  ["a superuser of its own", "create role r superuser"],
  ["an untrusted language", "create extension plpython3u"],
  ["an untrusted extension", "create extension dblink"],
  ["another server, by postgres_fdw", "create extension postgres_fdw"],
  ["the files of another instance", "select pg_read_file('../../other/pgdata/PG_VERSION')"],
  ["a way out of its directory, by a file's state", "select pg_stat_file('/etc/passwd')"],
  ["the writing of a large object to a file", "select lo_export(0, '/tmp/x')"],
  ["files by an extension", "create extension file_fdw"],
  ["a tablespace", "create tablespace t location '/tmp'"],
  ["a library", "load '/tmp/evil.so'"],
  ["a C function", "create function f() returns int language c as '/tmp/evil.so', 'f'"],
  ["libraries for sessions in a database", "alter database app set session_preload_libraries = 'x'"],
  ["the reload of settings", "select pg_reload_conf()"],
  ["the agent's database", "alter database postgres owner to root"],
  ["the catalogues", "update pg_catalog.pg_authid set rolsuper = true where rolname = 'root'"],
  ["dropping the owner of databases", "drop role coffer_owner"],
  ["renaming the agent's role", "alter role os_admin rename to x"],
])("root does not get %s", async (_, statement) => {
  expect(await refusal(root.unsafe(statement))).toBe(denied);
});

test("root rules over the tenant's databases, users and data", async () => {
  const before = rig.connect("before", "b", "app");
  await before`create table secret as select 42 as n`;
  expect(await root`select n from secret`).toEqual([{ n: 42 }]);
  await root.unsafe("create extension citext");
  await root.unsafe("alter role after password 'by-root'");
  await rig.connect("after", "by-root", "app")`select 1`;
  await root.unsafe("create database roots");
  await root.unsafe("create role helper login password 'h'");
  await root.unsafe("grant before to helper");
  expect(await rig.connect("helper", "h", "roots")`select 1 as n`).toEqual([{ n: 1 }]);
  await rig.connect("root", "r00t", "postgres")`select 1`;
  const { databases, users } = await rig.engine.inventory();
  expect(databases).toContainEqual({ name: "roots" });
  expect(users.map((user) => user.name)).toEqual(["after", "before", "helper"]);
  await rig.engine.deleteUser({ name: "helper" });
  await rig.engine.deleteDatabase({ name: "roots" });
});

test("settings that root gives to its own database do not reach the agent's sessions", async () => {
  await root.unsafe("create database trap");
  const inTrap = rig.connect("root", "r00t", "trap");
  await inTrap.unsafe(`
    create schema evil;
    create table public.called (by text);
    create function evil.noticed(anyelement) returns boolean language plpgsql as $$ begin insert into public.called values (current_user); return true; end $$`);
  for (const setting of ["search_path = evil, public", "role = 'root'", "default_transaction_read_only = on", "statement_timeout = 1", "standard_conforming_strings = off", "lock_timeout = 1"])
    await inTrap.unsafe(`alter database trap set ${setting}`);
  await rig.user("victim", "v", ["trap"]);
  await rig.engine.revoke({ name: "victim", database: "trap" });
  await rig.engine.grant({ name: "victim", databases: ["trap"] });
  await rig.connect("victim", "v", "trap")`select 1`;
  await rig.engine.deleteUser({ name: "victim" });
  expect(await rig.connect("root", "r00t", "trap")`select * from public.called`).toEqual([]);
  await inTrap.unsafe("alter database trap is_template true");
  await rig.engine.deleteDatabase({ name: "trap" });
});

test("a database that root has closed is said to be closed", async () => {
  await root.unsafe("create database closed allow_connections false");
  await expect(rig.engine.grant({ name: "after", databases: ["closed"] })).rejects.toMatchObject({ code: "conflict", message: 'Database "closed" allows no connections.' });
  await rig.engine.deleteDatabase({ name: "closed" });
});

test("what root passed on is not called revoked while it is in force", async () => {
  await root.unsafe("create database shared");
  await root.unsafe("revoke connect on database shared from public");
  await root.unsafe("grant connect on database shared to before with grant option");
  await rig.connect("before", "b", "shared").unsafe("grant connect on database shared to after");
  await expect(rig.engine.revoke({ name: "after", database: "shared" })).rejects.toMatchObject({ code: "conflict" });
  await rig.engine.revoke({ name: "before", database: "shared" });
  await rig.engine.revoke({ name: "after", database: "shared" });
  expect((await rig.engine.inventory()).users.find((user) => user.name === "after")?.databases).toEqual(["app"]);
});

test("root cannot see what the agent's sessions do", async () => {
  await rig.engine.createUsers({ users: [{ name: "watched", verifier: await scramVerifier("w"), databases: ["app"] }] });
  // The session is kept a while, and would show its last statement.
  const seen = await root<{ query: string }[]>`select query from pg_stat_activity where usename = 'os_admin' and application_name = 'coffer'`;
  expect(seen.length).toBeGreaterThan(0);
  for (const { query } of seen) expect(query).not.toMatch(/watched|SCRAM|select|role/i);
});

test("enabling again gives back every right that was lost, and a new password", async () => {
  await rig.inside("postgres", (sql) => sql.unsafe("alter role root nologin nocreatedb; revoke coffer_owner from root"));
  await rig.engine.enableRoot({ verifier: await scramVerifier("again") });
  const sql = rig.connect("root", "again", "app");
  await sql.unsafe("create table by_root (n int)");
  expect(await refusal(rig.connect("root", "r00t", "app")`select 1`)).toBe("28P01");
});
