import { majors } from "#test/support/extent";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { scramVerifier } from "#core/guest/scram";
import { newVerifier, settings, startedEngine, type Rig } from "#test/support/engine";

/** What every engine does, on every version there is: each job works, and doing it twice equals doing it once. */
for (const major of majors) {
  describe(`PostgreSQL ${major}`, () => {
    let rig: Rig;
    beforeAll(async () => {
      rig = await startedEngine(major);
    });
    afterAll(() => rig.close());
    const twice = async (work: () => Promise<void>) => {
      await work();
      const once = await rig.engine.inventory();
      await work();
      expect(await rig.engine.inventory()).toEqual(once);
      return once;
    };

    test("reports its version, health and use of the volume", async () => {
      expect(rig.engine.version).toBe(major);
      expect(await rig.engine.health()).toBe("healthy");
      const { usedBytes, totalBytes } = await rig.engine.usage();
      expect(usedBytes).toBeGreaterThan(20 * 1024 ** 2);
      expect(totalBytes).toBeGreaterThan(usedBytes);
    });

    test("creating databases and users twice makes them once, and a user gets in", async () => {
      await twice(() => rig.engine.createDatabases({ databases: [{ name: "one" }, { name: "two", characterSet: "UTF8", collate: "de_DE.UTF-8" }] }));
      const after = await twice(() => rig.user("ann", "s3cret", ["one", "two"]));
      expect(after).toEqual({ databases: [{ name: "one" }, { name: "two" }], users: [{ name: "ann", host: "%", databases: ["one", "two"] }] });
      const sql = rig.connect("ann", "s3cret", "one");
      await sql`create table t as select 1 as n`;
      expect(await sql`select n from t`).toEqual([{ n: 1 }]);
    });

    test("granting and revoking twice is granting and revoking once", async () => {
      await rig.user("bob", "b");
      expect((await twice(() => rig.engine.grant({ name: "bob", databases: ["one"] }))).users).toContainEqual({ name: "bob", host: "%", databases: ["one"] });
      expect((await twice(() => rig.engine.revoke({ name: "bob", database: "one" }))).users).toContainEqual({ name: "bob", host: "%", databases: [] });
    });

    test("a rename twice is a rename once, and keeps grants and password", async () => {
      await rig.user("carl", "c", ["one"]);
      await rig.engine.updateUser({ name: "carl", newName: "carla" });
      await rig.engine.updateUser({ name: "carl", newName: "carla" });
      expect((await rig.engine.inventory()).users).toContainEqual({ name: "carla", host: "%", databases: ["one"] });
      await rig.connect("carla", "c", "one")`select 1`;
    });

    test("new passwords are in force at once, the old ones void", async () => {
      const verifier = await scramVerifier("new");
      await rig.engine.changePasswords({ users: [{ name: "carla", verifier }] });
      await rig.engine.changePasswords({ users: [{ name: "carla", verifier }] });
      await rig.connect("carla", "new", "one")`select 1`;
      await expect(rig.connect("carla", "c", "one")`select 1`).rejects.toMatchObject({ code: "28P01" });
    });

    test("one unknown user leaves all passwords as they were", async () => {
      const verifier = await newVerifier();
      const changed = rig.engine.changePasswords({ users: [{ name: "carla", verifier }, { name: "nobody-here", verifier }] });
      await expect(changed).rejects.toMatchObject({ code: "itemNotFound" });
      await rig.connect("carla", "new", "one")`select 1`;
    });

    test("root can be enabled and disabled any number of times, and is not among the users", async () => {
      const verifier = await scramVerifier("r00t");
      await twice(() => rig.engine.enableRoot({ verifier }));
      const session = rig.connect("root", "r00t", "postgres");
      await session`select 1`;
      const unknown = await newVerifier();
      const after = await twice(() => rig.engine.disableRoot({ verifier: unknown }));
      expect(after.users.map((user) => user.name)).not.toContain("root");
      await expect(session`select 1`).rejects.toThrow();
      await expect(rig.connect("root", "r00t", "postgres")`select 1`).rejects.toMatchObject({ code: "28P01" });
    });

    test("deleting a user or a database twice is deleting it once, also with sessions in it", async () => {
      const session = rig.connect("ann", "s3cret", "one");
      await session`select 1`;
      expect((await twice(() => rig.engine.deleteUser({ name: "ann" }))).users.map((user) => user.name)).not.toContain("ann");
      await expect(session`select 1`).rejects.toThrow();
      const other = rig.connect("carla", "new", "one");
      await other`select 1`;
      expect((await twice(() => rig.engine.deleteDatabase({ name: "one" }))).databases).toEqual([{ name: "two" }]);
    });

    test("stop and restart are orderly, and everything is there after", async () => {
      const before = await rig.engine.inventory();
      const first = await rig.pid();
      await rig.engine.restart({ ...settings, memoryMb: 1024 });
      expect(await rig.pid()).not.toBe(first);
      expect(await rig.inside("postgres", (sql) => sql`show shared_buffers`)).toEqual([{ shared_buffers: "256MB" }]);
      expect(await rig.engine.inventory()).toEqual(before);
      await rig.engine.stop();
      await rig.engine.stop();
      expect(await rig.engine.health()).toBe("shutdown");
      await rig.engine.start(settings);
      await rig.engine.start(settings);
      expect(await rig.engine.health()).toBe("healthy");
    });
  });
}
