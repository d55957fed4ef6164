import { drizzle } from "drizzle-orm/postgres-js";
import { readMigrationFiles } from "drizzle-orm/migrator";
import { migrate as applyFiles } from "drizzle-orm/postgres-js/migrator";
import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { scramVerifier } from "#core/guest/scram";
import { read } from "#core/db/index";
import { installation as installationTable } from "#core/db/installation.sql";
import { policies } from "#core/db/policies";

export interface Migration {
  /** Connects as the owner of the schema; directly, never through a pooler. */
  url: string;
  socketDirectory?: string;
  /** Folder with the checked-in SQL files. */
  folder: string;
  /** The id this installation has outside the database already; else one is made. */
  installation?: string;
  /** Passwords of the two roles that serve. */
  passwords: { app: string; system: string };
}

/** Any number; every migrator of every version takes the same lock. */
const LOCK = 7_263_891;

/**
 * Brings the schema up to date, then roles, grants and policies. Several may run at once: an
 * advisory lock on the one connection lets them through one by one. Never at a cold start.
 * Returns the installation id, made at the first run.
 */
export async function migrate({ url, socketDirectory, folder, installation, passwords }: Migration): Promise<string> {
  const port = new URL(url).port || "5432";
  const sql = postgres(url, {
    max: 1,
    onnotice: () => {},
    ...(socketDirectory && { path: `${socketDirectory}/.s.PGSQL.${port}` }),
  });
  try {
    await sql`select pg_advisory_lock(${LOCK})`;
    await role(sql, "coffer_app", passwords.app);
    await role(sql, "coffer_system", passwords.system);
    await applyFiles(drizzle(sql), { migrationsFolder: folder });
    await sql.unsafe(policies);
    const fresh = installation ?? randomBytes(5).toString("hex");
    await sql`insert into installation (id, created_at) values (${fresh}, now()) on conflict do nothing`;
    const [row] = await sql<{ id: string }[]>`select id from installation`;
    if (!row) throw new Error("the installation row is missing");
    return row.id;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** The id of this installation, from the database. */
export async function installationId(): Promise<string> {
  const [row] = await read((tx) => tx.select({ id: installationTable.id }).from(installationTable));
  if (!row) throw new Error("the installation row is missing");
  return row.id;
}

/**
 * Whether a database has every migration of `folder`; it may have more, of a later version. Connects as
 * `coffer_system`; throws what the connection says.
 */
export async function upToDate({ url, folder }: Pick<Migration, "url" | "folder">): Promise<boolean> {
  const sql = postgres(url, { max: 1, onnotice: () => {}, connect_timeout: 10 });
  try {
    // drizzle's own order: what is older than the newest one applied counts as applied.
    const newest = Math.max(...readMigrationFiles({ migrationsFolder: folder }).map(({ folderMillis }) => folderMillis));
    const [row] = await sql<{ at: string | null }[]>`select max(created_at) as at from drizzle.__drizzle_migrations`;
    return Number(row?.at ?? 0) >= newest;
  } catch (error) {
    // Not readable for us, or not there: a version before this question, or none.
    if (error instanceof postgres.PostgresError && ["42501", "42P01", "3F000"].includes(error.code)) return false;
    throw error;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function role(sql: postgres.Sql, name: "coffer_app" | "coffer_system", password: string) {
  // Utility statements take no parameters; the name is ours and the verifier has no quote in it.
  const verifier = await scramVerifier(password);
  const [found] = await sql<{ rolbypassrls: boolean; rolsuper: boolean }[]>`select rolbypassrls, rolsuper from pg_roles where rolname = ${name}`;
  if (found?.rolsuper || found?.rolbypassrls) throw new Error(`the role ${name} may bypass row-level security; take that away first`);
  // The attribute is not named: only who may bypass row-level security may set it, be it to its default, and an
  // owner in a managed service may not.
  await sql.unsafe(`${found ? "alter" : "create"} role ${name} login password '${verifier}'`);
}
