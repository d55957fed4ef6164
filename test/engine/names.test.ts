import { afterAll, beforeAll, expect, test } from "vitest";
import { scramVerifier } from "#core/guest/scram";
import { startedEngine, type Rig } from "#test/support/engine";

let rig: Rig;
beforeAll(async () => {
  rig = await startedEngine();
  await rig.engine.enableRoot({ verifier: await scramVerifier("r00t") });
  await rig.engine.createDatabases({ databases: [{ name: "latin", characterSet: "LATIN1" }] });
});
afterAll(() => rig.close());

const hostile = [
  '"; drop role os_admin; --',
  "'; drop role os_admin; --",
  "  leading",
  "semi;colon",
  'quo"te',
  '""""',
  "back\\slash",
  "%s%I%%",
  "new\nline",
  "tab\tand\rreturn",
  "a@b.c",
  "Größe-数据库-🐘",
  "SELECT",
  "UPPER",
  "$1",
  "x".repeat(63),
  "é".repeat(31),
  "--",
  "/* */",
  "../../etc/passwd",
];

test.each(hostile)("a user and a database called %j live through everything", async (name) => {
  const { engine } = rig;
  await engine.createDatabases({ databases: [{ name }] });
  await rig.user(name, name, [name]);
  await engine.grant({ name, databases: ["latin"] });
  const has = async () => {
    const { databases, users } = await engine.inventory();
    return { database: databases.some((one) => one.name === name), user: users.find((one) => one.name === name) };
  };
  expect(await has()).toEqual({ database: true, user: { name, host: "%", databases: [name, "latin"].sort() } });
  const sql = rig.connect(name, name, name);
  await sql`create table t (n int)`;
  expect(await sql`select current_user as me, current_database() as here`).toEqual([{ me: name, here: name }]);
  await engine.changePasswords({ users: [{ name, verifier: await scramVerifier("changed") }] });
  await rig.connect(name, "changed", name)`select 1`;
  await engine.updateUser({ name, newName: "renamed" });
  await engine.updateUser({ name: "renamed", newName: name });
  await engine.revoke({ name, database: name });
  expect((await has()).user?.databases).toEqual(["latin"]);
  await engine.deleteUser({ name });
  await engine.deleteDatabase({ name });
  expect(await has()).toEqual({ database: false, user: undefined });
  expect(await engine.health()).toBe("healthy");
});

test.each(["", "x".repeat(64), "é".repeat(32), "nul\0byte", "\ud800", "os_admin", "postgres", "root", "coffer_owner", "coffer_heir", "pg_monitor", "pg_mine", "public"])(
  "no job touches a user called %j",
  async (name) => {
    const verifier = await scramVerifier("x");
    const { engine } = rig;
    for (const refused of [
      () => engine.createUsers({ users: [{ name, verifier, databases: [] }] }),
      () => engine.changePasswords({ users: [{ name, verifier }] }),
      () => engine.updateUser({ name, verifier }),
      () => engine.updateUser({ name: "someone", newName: name }),
      () => engine.deleteUser({ name }),
      () => engine.grant({ name, databases: [] }),
      () => engine.revoke({ name, database: "latin" }),
    ])
      await expect(refused()).rejects.toMatchObject({ code: "badRequest" });
  },
);

test.each(["", "x", "x".repeat(64), "trailing ", "nul\0byte", "postgres", "template0", "template1", "os_admin"])("no job touches a database called %j", async (name) => {
  const { engine } = rig;
  await expect(engine.createDatabases({ databases: [{ name: "innocent" }, { name }] })).rejects.toMatchObject({ code: "badRequest" });
  await expect(engine.deleteDatabase({ name })).rejects.toMatchObject({ code: "badRequest" });
  await rig.user("someone", "x");
  await expect(engine.grant({ name: "someone", databases: [name] })).rejects.toMatchObject({ code: "badRequest" });
  await expect(engine.revoke({ name: "someone", database: name })).rejects.toMatchObject({ code: "badRequest" });
  expect((await engine.inventory()).databases).toEqual([{ name: "latin" }]);
});

test.each(["plain", "md5" + "0".repeat(32), "SCRAM-SHA-256$4096:x$y:z", "'; drop role os_admin; --", ""])("%j is no verifier", async (verifier) => {
  await expect(rig.engine.createUsers({ users: [{ name: "eve", verifier, databases: [] }] })).rejects.toMatchObject({ code: "badRequest" });
  await expect(rig.engine.enableRoot({ verifier })).rejects.toMatchObject({ code: "badRequest" });
  expect((await rig.engine.inventory()).users.map((user) => user.name)).not.toContain("eve");
});

test("a user with an unknown database is not made, and the answer says why", async () => {
  const made = rig.user("frank", "f", ["latin", "no such"]);
  await expect(made).rejects.toMatchObject({ code: "itemNotFound", message: 'Database "no such" does not exist.' });
  expect((await rig.engine.inventory()).users.map((user) => user.name)).not.toContain("frank");
});

test("a rename to a name that is taken changes nothing", async () => {
  await rig.user("gail", "g");
  await rig.user("hugo", "h");
  await expect(rig.engine.updateUser({ name: "gail", newName: "hugo", verifier: await scramVerifier("x") })).rejects.toMatchObject({ code: "conflict" });
  await expect(rig.engine.updateUser({ name: "nobody", newName: "nothing" })).rejects.toMatchObject({ code: "itemNotFound" });
  await rig.engine.grant({ name: "gail", databases: ["latin"] });
  await rig.connect("gail", "g", "latin")`select 1`;
});
