import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startCluster, until } from "#test/support/cluster";
import { environmentFor } from "#test/support/lambda/environment";
import { forwardTo, type Forward } from "#test/support/lambda/forward";
import { startLambda } from "#test/support/lambda/process";

// A server of its own: roles and their passwords belong to a whole server.
let cluster: Awaited<ReturnType<typeof startCluster>>;
let way: Forward;
let sql: postgres.Sql;
beforeAll(async () => {
  cluster = await startCluster();
  const path = `${cluster.socketDirectory}/.s.PGSQL.5432`;
  way = await forwardTo(path);
  sql = postgres(cluster.url("postgres"), { path, max: 1, onnotice: () => {} });
  await until(() => sql`select 1`.then(() => true, () => false), "the server");
  // As the master user of a managed service: it may make roles and is no superuser.
  await sql.unsafe("create role master login createrole password 'master-password'");
  await sql.unsafe("create database coffer owner master");
});
afterAll(async () => {
  await sql.end();
  await way.close();
  await cluster.stop();
});

const DATABASE = () => `postgres://master:master-password@127.0.0.1:${way.port}/coffer`;

test("the migrator makes an empty database ready, again and again and several at once, without a superuser", async () => {
  const env = { ...environmentFor("migrate"), DATABASE_URL: DATABASE() };
  const migrators = await Promise.all([startLambda("migrate", { env }), startLambda("migrate", { env })]);
  try {
    const answers = await Promise.all(migrators.map((one) => one.invoke()));
    expect([...answers, await migrators[0]?.invoke()]).toEqual(Array(3).fill({ installation: "0123456789" }));
  } finally {
    await Promise.all(migrators.map((one) => one.stop()));
  }
  const tenant = postgres(`postgres://coffer_app:app-password-app@127.0.0.1:${way.port}/coffer`, { max: 1 });
  expect(await tenant`select count(*)::int as count from instance`).toEqual([{ count: 0 }]);
  await tenant.end();
});

test("a role that may bypass row-level security is refused, and nothing is migrated with it", async () => {
  await sql`alter role coffer_app bypassrls`;
  const migrator = await startLambda("migrate", { env: { ...environmentFor("migrate"), DATABASE_URL: DATABASE() } });
  try {
    await expect(migrator.invoke()).rejects.toThrow("the role coffer_app may bypass row-level security");
  } finally {
    await migrator.stop();
    await sql`alter role coffer_app nobypassrls`;
  }
});
