import { majors } from "#test/support/extent";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { crashOnce } from "#core/failpoint";
import { scramVerifier } from "#core/guest/scram";
import { refusal, startedEngine, type Rig } from "#test/support/engine";

const [one, two] = ["0b8f4d5e-0000-4000-8000-000000000001", "0b8f4d5e-0000-4000-8000-000000000002"];

describe.each(majors)("PostgreSQL %s", (major) => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startedEngine(major);
    await rig.engine.createDatabases({ databases: [{ name: "app" }, { name: "it's \"odd\"" }] });
    await rig.user("ann", "a", ["app"]);
    await rig.engine.enableRoot({ verifier: await scramVerifier("r00t") });
  });
  afterAll(() => rig.close());
  const apply = (id: string, contents: string) => rig.engine.applyModule({ id, type: "postgresql_extensions", contents });
  const remove = (id: string) => rig.engine.removeModule({ id, type: "postgresql_extensions" });
  const present = (database = "app") =>
    rig.inside(database, (sql) => sql<{ name: string; owner: string }[]>`select extname as name, extowner::regrole::text as owner from pg_extension where extname <> 'plpgsql' order by 1`).then((rows) => rows.map(({ name, owner }) => `${name} of ${owner}`));

  test("extensions are made in every database, once, by their owners, and users may use them", async () => {
    const contents = "# for search\nextension=pg_trgm\r\n extension = citext\n";
    expect(await apply(one, contents)).toBe('pg_trgm, citext in app, it\'s "odd"');
    expect(await apply(one, contents)).toBe('pg_trgm, citext in app, it\'s "odd"');
    for (const database of ["app", "it's \"odd\""]) expect(await present(database)).toEqual(["citext of coffer_owner", "pg_trgm of coffer_owner"]);
    expect(await rig.connect("ann", "a", "app")`select similarity('word', 'words') > 0.5 as near, 'A'::citext = 'a' as same`).toEqual([{ near: true, same: true }]);
  });

  test("other contents take away what they do not name any more, from databases they do not name as well", async () => {
    await apply(one, "extension=pg_trgm\ndatabase=app");
    expect([await present(), await present("it's \"odd\"")]).toEqual([["pg_trgm of coffer_owner"], []]);
  });

  test("an extension goes with the last module that wants it; one that the tenant made stays", async () => {
    const root = rig.connect("root", "r00t", "app");
    await root`create extension hstore`;
    await apply(two, "extension=pg_trgm\nextension=hstore\ndatabase=app");
    await remove(one);
    expect(await present()).toEqual(["hstore of root", "pg_trgm of coffer_owner"]);
    await remove(two);
    await remove(two);
    expect(await present()).toEqual(["hstore of root"]);
    await root`drop extension hstore`;
  });

  test("what a table depends on is not taken away, and nothing is half done", async () => {
    await apply(one, "extension=citext\nextension=cube\ndatabase=app");
    const ann = rig.connect("ann", "a", "app");
    await ann`create table people (name citext)`;
    await expect(remove(one)).rejects.toThrow(/other objects depend on it/);
    expect(await present()).toEqual(["citext of coffer_owner", "cube of coffer_owner"]);
    await ann`drop table people`;
    await remove(one);
    expect(await present()).toEqual([]);
  });

  test.each([
    ["a database that is not there", "extension=citext\ndatabase=none", /does not exist/],
    ["the platform's database", "extension=citext\ndatabase=postgres", /reserved/],
    ["a template", "extension=citext\ndatabase=template1", /reserved/],
    ["SQL", "COPY (select 1) TO PROGRAM 'id'", /Line 1 of the contents is neither/],
    ["SQL after a name", "extension=citext; SET ROLE os_admin", /not offered/],
    ["a language", "extension=plpython3u", /not offered/],
    ["another server's files", "extension=file_fdw", /not offered/],
    ["another case of a name", "extension=CITEXT", /not offered/],
  ])("%s is refused, and nothing happens", async (_, contents, why) => {
    await expect(apply(one, contents)).rejects.toThrow(why);
    expect(await present()).toEqual([]);
  });

  test("a type of another engine's is refused, and its removal does nothing", async () => {
    await expect(rig.engine.applyModule({ id: one, type: "new_relic_license", contents: "" })).rejects.toThrow(/no module type/);
    await rig.engine.removeModule({ id: one, type: "new_relic_license" });
  });

  test("what a tenant puts in the way makes the module fail, and never runs with more rights than the tenant has", async () => {
    const ann = rig.connect("ann", "a", "app");
    await ann`create table public.stolen (who text, role text)`;
    await ann`create function public.lower(text) returns text language sql as $$ insert into public.stolen values (session_user, current_user); select $1 $$`;
    await ann`create type public.citext as enum ('mine')`;
    await expect(apply(one, "extension=citext\ndatabase=app")).rejects.toThrow(/not a member of extension|already exists/);
    expect(await ann`select * from public.stolen`).toEqual([]);
    expect(await present()).toEqual([]);
    await ann`drop type public.citext`;
    // The agent's session left nothing behind that a tenant could take up.
    expect(await refusal(rig.connect("root", "r00t", "app")`set role os_admin`)).toBe("42501");
  });

  test("a crash between two databases is made good by doing it again, and by taking it away", async () => {
    const contents = "extension=unaccent";
    for (const again of [() => apply(one, contents), () => remove(one)]) {
      await remove(one);
      const disarm = crashOnce("postgresql.extensions");
      await expect(apply(one, contents)).rejects.toThrow(/crashed/);
      disarm();
      expect([await present(), await present("it's \"odd\"")]).toEqual([["unaccent of coffer_owner"], []]);
      await again();
    }
    expect(await present()).toEqual([]);
    await apply(one, contents);
    expect([await present(), await present("it's \"odd\"")]).toEqual([["unaccent of coffer_owner"], ["unaccent of coffer_owner"]]);
    await remove(one);
  });

  test("a lock that a tenant holds is not awaited for ever", async () => {
    const root = rig.connect("root", "r00t", "app");
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let taken = () => {};
    const holds = new Promise<void>((resolve) => (taken = resolve));
    const open = root.begin(async (sql) => {
      await sql`create extension seg`;
      taken();
      await held;
    });
    await holds;
    await expect(apply(one, "extension=seg\ndatabase=app")).rejects.toThrow(/lock timeout/);
    release();
    await open;
    await root`drop extension seg`;
  });
});
