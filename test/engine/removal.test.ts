import { afterAll, beforeAll, expect, test } from "vitest";
import { crashOnce } from "#core/failpoint";
import { scramVerifier } from "#core/guest/scram";
import { refusal, startedEngine, type Rig } from "#test/support/engine";

let rig: Rig;
beforeAll(async () => {
  rig = await startedEngine();
  await rig.engine.createDatabases({ databases: [{ name: "app" }, { name: "more" }] });
});
afterAll(() => rig.close());

/** What a superuser owns that initdb did not make, beside what extensions brought. */
const ofSuperusers = (database: string) =>
  rig.inside(database, (sql) => sql<{ what: string }[]>`
    select c.relname as what from pg_class c where c.relowner = 10 and c.oid >= 16384 and c.relnamespace <> 'pg_toast'::regnamespace
    union all select proname from pg_proc p where proowner = 10 and p.oid >= 16384 and not exists (select from pg_depend where objid = p.oid and deptype = 'e')
    union all select nspname from pg_namespace n where nspowner = 10 and n.oid >= 16384
    union all select typname from pg_type t where typowner = 10 and t.oid >= 16384 and not exists (select from pg_depend where objid = t.oid and deptype = 'e')
    union all select datname from pg_database d where datdba = 10 and d.oid >= 16384`);

async function furnish(name: string) {
  await rig.user(name, "p", ["app", "more"]);
  for (const database of ["app", "more"]) {
    const sql = rig.connect(name, "p", database);
    await sql.unsafe(`
      create schema ${name};
      create table ${name}.t as select 1 as n;
      create view ${name}.v as select * from ${name}.t;
      create sequence ${name}.s;
      create type ${name}.kind as enum ('a');
      create function ${name}.who() returns text language sql security definer set search_path = pg_catalog as 'select current_user::text';
      create function ${name}.run(statement text) returns void language plpgsql security definer as $$ begin execute statement; end $$;
      create procedure ${name}.p() language sql security definer as 'select 1';
      grant usage on schema ${name} to public;
      grant select on ${name}.t to public;
      alter default privileges in schema ${name} grant select on tables to public;
      create publication ${name}_pub;
      select lo_create(0)`);
  }
  const sql = rig.connect(name, "p", "app");
  await sql.unsafe("create extension if not exists citext");
}

test("what a deleted user leaves belongs to a role without power, never to a superuser", async () => {
  await furnish("mallory");
  await rig.user("reader", "r", ["app"]);
  await rig.engine.deleteUser({ name: "mallory" });
  for (const database of ["app", "more"]) expect(await ofSuperusers(database)).toEqual([]);
  const reader = rig.connect("reader", "r", "app");
  expect(await reader`select mallory.who() as who`).toEqual([{ who: "coffer_heir" }]);
  expect(await reader`select n from mallory.t`).toEqual([{ n: 1 }]);
  for (const statement of [
    "alter database more set search_path = evil",
    "grant connect on database more to reader",
    "create table public.mine (n int)",
    "create role intruder",
    "alter role reader createrole",
    "set role coffer_owner",
  ])
    expect(await refusal(reader`select mallory.run(${statement})`)).not.toBe("");
});

test("a deletion that crashed in its middle is finished by the next", async () => {
  for (const point of ["postgresql.removal", "postgresql.removal.database"]) {
    await furnish("halfway");
    const disarm = crashOnce(point);
    await expect(rig.engine.deleteUser({ name: "halfway" })).rejects.toThrow("crashed");
    disarm();
    expect((await rig.engine.inventory()).users.map((user) => user.name)).toContain("halfway");
    await rig.engine.deleteUser({ name: "halfway" });
    expect((await rig.engine.inventory()).users.map((user) => user.name)).not.toContain("halfway");
    for (const database of ["app", "more"]) await rig.inside(database, (sql) => sql.unsafe("drop schema halfway cascade; drop publication halfway_pub"));
  }
});

test("a session in the middle of its work does not keep its user from being deleted", async () => {
  await rig.user("busy", "b", ["app"]);
  const session = rig.connect("busy", "b", "app");
  await session.unsafe("begin; create table half_done (n int)");
  await rig.engine.deleteUser({ name: "busy" });
  expect((await rig.engine.inventory()).users.map((user) => user.name)).not.toContain("busy");
});

test("databases of a deleted user stay, and can be granted to others", async () => {
  await rig.engine.enableRoot({ verifier: await scramVerifier("r00t") });
  const root = rig.connect("root", "r00t", "postgres");
  await root.unsafe("create role maker login createdb createrole password 'm'");
  await root.unsafe("grant connect on database app to maker");
  const maker = rig.connect("maker", "m", "app");
  await maker.unsafe("create database makers");
  await maker.unsafe("create role child login password 'c'");
  await maker.unsafe("grant child to maker");
  await rig.engine.deleteUser({ name: "maker" });
  await rig.user("next", "n", ["makers"]);
  await rig.connect("next", "n", "makers").unsafe("create table t (n int)");
  await rig.engine.deleteUser({ name: "child" });
  expect(await rig.inside("postgres", (sql) => sql`select datdba::regrole::text as owner from pg_database where datname = 'makers'`)).toEqual([{ owner: "coffer_owner" }]);
});

test("a user made again after a crash between role and grants has both", async () => {
  const disarm = crashOnce("postgresql.users");
  await expect(rig.user("torn", "t", ["app"])).rejects.toThrow("crashed");
  disarm();
  await rig.user("torn", "t", ["app"]);
  await rig.connect("torn", "t", "app").unsafe("create table torns (n int)");
});

test("a database made again after a crash in its middle is closed to others", async () => {
  const disarm = crashOnce("postgresql.database");
  await expect(rig.engine.createDatabases({ databases: [{ name: "torn" }] })).rejects.toThrow("crashed");
  disarm();
  await rig.engine.createDatabases({ databases: [{ name: "torn" }] });
  expect(await refusal(rig.connect("torn", "t", "torn")`select 1`)).toBe("42501");
});
