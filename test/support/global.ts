import postgres from "postgres";
import type { TestProject } from "vitest/node";
import { migrate } from "#core/db/migrate";
import { startCluster, until } from "#test/support/cluster";
import { startPooler } from "#test/support/pooler";

declare module "vitest" {
  interface ProvidedContext {
    /** `pooled`: where the product's roles connect through a pooler, if they shall. */
    cluster: { socketDirectory: string; pooled: string | undefined; owner: string; app: string; system: string };
  }
}

const passwords = { app: "app-password", system: "system-password" };

/**
 * One real server for all test files, with a migrated database that each file copies. With
 * `COFFER_TEST_POOLER=1` the product's roles reach it through pgbouncer in transaction mode.
 */
export default async function setup(project: TestProject) {
  const { provided, stop } = await startTemplate();
  project.provide("cluster", provided);
  return stop;
}

/** The server, and what it takes to connect to it; for benches, which run without vitest. */
export async function startTemplate() {
  const cluster = await startCluster();
  const owner = cluster.url("postgres");
  const sql = postgres(owner, { path: `${cluster.socketDirectory}/.s.PGSQL.5432`, max: 1, onnotice: () => {} });
  await until(() => sql`select 1`.then(() => true, () => false), "the test server");
  await sql`create database template_coffer`;
  await sql.end();
  await migrate({
    url: cluster.url("template_coffer"),
    socketDirectory: cluster.socketDirectory,
    folder: "core/db/migrations",
    passwords,
  });
  const pooler = process.env.COFFER_TEST_POOLER
    ? await startPooler(cluster.root, cluster.socketDirectory, { coffer_app: passwords.app, coffer_system: passwords.system })
    : undefined;
  const provided = {
    socketDirectory: cluster.socketDirectory,
    pooled: pooler?.socketDirectory,
    owner,
    app: cluster.url("postgres", "coffer_app", passwords.app),
    system: cluster.url("postgres", "coffer_system", passwords.system),
  };
  const stop = async () => {
    await pooler?.stop();
    await cluster.stop();
  };
  return { provided, stop };
}
