import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { system, type Actor } from "#core/actor";
import { enter } from "#core/context";
import { read, transaction } from "#core/db/index";
import { quota } from "#core/quota/quota.sql";
import { testDatabase } from "#test/support/db";

let db: Awaited<ReturnType<typeof testDatabase>>;
beforeAll(async () => {
  db = await testDatabase({ max: 1 });
});
afterAll(() => db.close());

const tenant = (projectId: string, isAdmin = false): Actor => ({ kind: "user", userId: "u", projectId, roles: ["member"], isAdmin });

test("with one connection, reads and transactions of many callers all finish", async () => {
  const work = Array.from({ length: 20 }, (_, at) =>
    enter({ db: db.app, actor: tenant(`p${at}`) }, async () => {
      const [seen] = await read((tx) => tx.execute<{ p: string }>(sql`select current_setting('coffer.project_id') as p`));
      const inner = await transaction(async (tx) => {
        const [row] = await tx.execute<{ p: string }>(sql`select current_setting('coffer.project_id') as p`);
        return transaction(async () => row?.p);
      });
      return [seen?.p, inner];
    }),
  );
  expect(await Promise.all(work)).toEqual(Array.from({ length: 20 }, (_, at) => [`p${at}`, `p${at}`]));
});

test("a failed statement in a pipelined read is reported and leaves the connection usable", async () => {
  await enter({ db: db.app, actor: tenant("p") }, async () => {
    await expect(read((tx) => tx.execute(sql`select 1/0`))).rejects.toThrow();
    await expect(transaction(async (tx) => {
      await tx.execute(sql`select 1`);
      throw new Error("ours");
    })).rejects.toThrow("ours");
    expect(await read((tx) => tx.execute(sql`select 1 as one`))).toEqual([{ one: 1 }]);
  });
});

test("the application role sees and writes rows of the acting project only, even without a filter", async () => {
  await enter({ db: db.system, actor: system("test") }, () =>
    transaction((tx) =>
      tx.insert(quota).values([
        { projectId: "mine", resource: "instances", hardLimit: 1 },
        { projectId: "other", resource: "instances", hardLimit: 2 },
      ]),
    ),
  );
  const rows = (actor: Actor) => enter({ db: db.app, actor }, () => read((tx) => tx.select().from(quota)));
  expect((await rows(tenant("mine"))).map((row) => row.projectId)).toEqual(["mine"]);
  expect(await rows(tenant("nobody"))).toEqual([]);
  expect((await rows(tenant("x", true))).map((row) => row.projectId).sort()).toEqual(["mine", "other"]);
  await expect(
    enter({ db: db.app, actor: tenant("mine") }, () =>
      transaction((tx) => tx.insert(quota).values({ projectId: "other", resource: "ram", hardLimit: 9 })),
    ),
  ).rejects.toMatchObject({ cause: { code: "42501" } });
});

test("a connection that another actor looked through shows each actor their own rows, and nobody none", async () => {
  const look = (actor: Actor, who?: "nobody") => enter({ db: db.app, actor }, () => db.app.look((tx) => tx.select().from(quota), who));
  await enter({ db: db.app, actor: tenant("it's\\") }, () => transaction((tx) => tx.insert(quota).values({ projectId: "it's\\", resource: "ram", hardLimit: 3 })));
  await enter({ db: db.app, actor: tenant("seen") }, () => transaction((tx) => tx.insert(quota).values({ projectId: "seen", resource: "ram", hardLimit: 4 })));
  const seen = await Promise.all([look(tenant("seen")), look(tenant("it's\\")), look(tenant("it's\\"), "nobody"), look(system("test")), look(tenant("seen")), look(tenant("seen"))]);
  expect(seen.map((rows) => rows.map((row) => row.hardLimit))).toEqual([[4], [3], [], [], [4], [4]]);
});

test("every table that names a project forces row-level security", async () => {
  const rows = await db.owner`
    select c.relname, c.relrowsecurity and c.relforcerowsecurity as forced
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'project_id'
    where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace`;
  expect(rows.length).toBeGreaterThan(7);
  expect(rows.filter((row) => !row.forced)).toEqual([]);
});

test("a connection lost inside a transaction ends it: nothing of it is kept, no later statement runs outside it", async () => {
  const limit = (hardLimit: number) => ({ projectId: "lost", resource: "ram" as const, hardLimit });
  await enter({ db: db.system, actor: system("test") }, async () => {
    const work = transaction(async (tx) => {
      const [row] = await tx.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`);
      await tx.insert(quota).values(limit(1));
      await db.owner`select pg_terminate_backend(${row?.pid ?? 0})`;
      // Until the loss is noticed a statement may still be sent into the void.
      for (;;) await tx.insert(quota).values({ ...limit(2), resource: "volumes" }).onConflictDoNothing();
    });
    await expect(work).rejects.toThrow();
    expect(await read((tx) => tx.select().from(quota))).not.toContainEqual(expect.objectContaining({ projectId: "lost" }));
  });
});
