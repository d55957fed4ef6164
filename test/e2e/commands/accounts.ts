import { expect, test } from "vitest";
import { until } from "#test/support/cluster";
import { type Row } from "#test/support/clients";
import { passwords, type Stage } from "#test/e2e/commands/stage";

/** Databases, users, grants and root: what the client says of them, and what psql finds. */
export function accounts(stage: Stage) {
  const { ok, json } = stage;
  const psql = stage.psql.bind(stage);
  const as = async (user: string, password: string) => (await psql("select 1", { user, password })).code;

  test("db create, list and delete", async () => {
    await ok("database db create pg1 shop");
    await until(async () => (await json<Row[]>("database db list pg1")).some((row) => row.Name === "shop"), "the new database");
    expect(await psql("select datname from pg_database where datname = 'shop'")).toMatchObject({ stdout: "shop\n" });
    await ok("database db delete pg1 shop");
    await until(async () => !(await json<Row[]>("database db list pg1")).some((row) => row.Name === "shop"), "the database to go");
  });

  test("user create, list, show, revoke access, show access, grant access, update attributes and delete", async () => {
    const { bob, robert } = passwords;
    await ok(`database user create pg1 bob ${bob} --databases app`);
    await until(async () => (await json<Row[]>("database user list pg1")).some((row) => row.Name === "bob"), "the new user");
    expect(await json("database user show pg1 bob")).toMatchObject({ name: "bob", databases: [{ name: "app" }] });
    expect(await as("bob", bob)).toBe(0);
    await ok("database user revoke access pg1 bob app");
    expect(await json<Row[]>("database user show access pg1 bob")).toEqual([]);
    expect(await as("bob", bob)).not.toBe(0);
    await ok("database user grant access pg1 bob app");
    expect(await json<Row[]>("database user show access pg1 bob")).toMatchObject([{ Name: "app" }]);
    await ok(`database user update attributes pg1 bob --new_name robert --new_password ${robert}`);
    await until(async () => (await as("robert", robert)) === 0, "the new name and password");
    await ok("database user delete pg1 robert");
    await until(async () => !(await json<Row[]>("database user list pg1")).some((row) => row.Name === "robert"), "the user to go");
  });

  test("root show, enable and disable; root is no superuser, and takes a password of one's choice", async () => {
    expect(await json("database root show pg1")).toMatchObject({ is_root_enabled: false });
    const { name, password } = await json<{ name: string; password: string }>("database root enable pg1");
    stage.secrets.push(password);
    expect(name).toBe("root");
    expect(await json("database root show pg1")).toMatchObject({ is_root_enabled: true });
    expect(await psql("select rolsuper from pg_roles where rolname = current_user", { user: "root", password })).toMatchObject({ stdout: "f\n" });
    expect((await psql("copy (select 1) to program 'true'", { user: "root", password })).stderr).toContain("permission denied");
    await ok("database root disable pg1");
    expect(await as("root", password)).not.toBe(0);
    await ok(`database root enable pg1 --root_password ${passwords.root}`);
    expect(await as("root", passwords.root)).toBe(0);
    await ok("database root disable pg1");
  });
}
