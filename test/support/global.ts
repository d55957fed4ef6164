import postgres from "postgres";
import type { TestProject } from "vitest/node";
import { migrate } from "#core/db/migrate";
import { startCluster, until } from "#test/support/cluster";

declare module "vitest" {
  interface ProvidedContext {
    cluster: { socketDirectory: string; owner: string; app: string; system: string };
  }
}

const passwords = { app: "app-password", system: "system-password" };

/** One real server for all test files, with a migrated database that each file copies. */
export default async function setup(project: TestProject) {
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
  project.provide("cluster", {
    socketDirectory: cluster.socketDirectory,
    owner,
    app: cluster.url("postgres", "coffer_app", passwords.app),
    system: cluster.url("postgres", "coffer_system", passwords.system),
  });
  return () => cluster.stop();
}
