import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { inject } from "vitest";
import { Database } from "#core/db/index";

/**
 * A freshly migrated database of its own, with the handles the product uses: `app` (tenants,
 * row-level security) and `system`, and `owner` for what a test wants to look at directly.
 * `COFFER_TEST_POOLER=1` puts a pooler before them; `COFFER_TEST_DB_MAX=1` runs every suite as a Lambda would, on one connection per role.
 */
export async function testDatabase({ max = Number(process.env.COFFER_TEST_DB_MAX ?? 4), cluster = inject("cluster") } = {}) {
  const { socketDirectory, pooled, owner, app, system } = cluster;
  const name = `test_${randomBytes(6).toString("hex")}`;
  const connect = (url: string) =>
    postgres(url, { path: `${socketDirectory}/.s.PGSQL.5432`, max: 2, onnotice: () => {} });
  const admin = connect(owner);
  // Copying a template fails while another copy of it runs.
  for (let tries = 0; ; tries++) {
    try {
      await admin.unsafe(`create database ${name} template template_coffer`);
      break;
    } catch (error) {
      if (tries > 100 || (error as { code?: string }).code !== "55006") throw error;
    }
  }
  const at = (url: string) => url.replace(/\/postgres$/, `/${name}`);
  const direct = connect(at(owner));
  const options = { max, prepare: pooled === undefined, socketDirectory: pooled ?? socketDirectory };
  const handles = { app: new Database(at(app), options), system: new Database(at(system), options) };
  return {
    ...handles,
    owner: direct,
    /** Notes what the tables of the product hold; what it returns brings that back, as often as it is called. */
    async mark() {
      const names = (await direct`select format('%I', tablename) as name from pg_tables where schemaname = 'public'`).map(({ name }) => name as string);
      const each = (work: (name: string) => string) => names.map(work).join("; ");
      await direct.unsafe(`create schema marked; ${each((one) => `create table marked.${one} as table public.${one}`)}`).simple();
      // As a replica the session follows no references, so the order is of no matter.
      const back = `set local session_replication_role = replica; ${each((one) => `delete from public.${one}`)}; ${each((one) => `insert into public.${one} select * from marked.${one}`)}`;
      return () => direct.begin(async (sql) => void (await sql.unsafe(back).simple()));
    },
    urls: { app: at(app), system: at(system), owner: at(owner), socketDirectory: pooled ?? socketDirectory },
    async close() {
      await Promise.all([handles.app.close(), handles.system.close(), direct.end({ timeout: 5 })]);
      await admin.unsafe(`drop database ${name} with (force)`);
      await admin.end({ timeout: 5 });
    },
  };
}
