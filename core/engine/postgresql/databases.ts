import type { JobSpec } from "#core/guest/protocol";
import { AppError, badRequest, notFound } from "#core/error";
import { failpoint } from "#core/failpoint";
import { together, type Connections, type Sql } from "#core/engine/postgresql/connections";
import { checkDatabase, heir, home, identifier, literal, owner, shown } from "#core/engine/postgresql/names";

/** What every cluster of ours has: the roles that own on behalf of others, and databases that PUBLIC may not enter. */
export function establish(connections: Connections): Promise<void> {
  return connections.main(async (sql) => {
    const there = await sql<{ name: string }[]>`select rolname as name from pg_roles where rolname in (${owner}, ${heir})`;
    const missing = [owner, heir].filter((role) => !there.some(({ name }) => name === role));
    if (missing.length === 0) return;
    await together(sql, [...missing.map((role) => `CREATE ROLE ${role} NOLOGIN`), `REVOKE ALL ON DATABASE ${home}, template1 FROM PUBLIC`]);
  });
}

type Wanted = JobSpec<"create_databases">["databases"][number];

/** Makes the databases that are not there yet. Nobody but whom they are granted to may enter them. */
export async function createDatabases(connections: Connections, databases: Wanted[]): Promise<void> {
  for (const { name } of databases) checkDatabase(name);
  await connections.main(async (sql) => {
    for (const database of databases) {
      await discardHalfDropped(sql, database.name);
      if (!(await exists(sql, database.name))) {
        // Each is a transaction of PostgreSQL's own; template0 is the one template that nobody can have changed.
        await sql.unsafe(`CREATE DATABASE ${identifier(database.name)} OWNER ${owner} TEMPLATE template0 ${await localeClauses(sql, database)}`);
        await failpoint("postgresql.database");
      }
      await shut(sql, database.name);
    }
  });
}

/** Takes PUBLIC's rights away; from a database that is root's own, they are root's to take. */
async function shut(sql: Sql, name: string): Promise<void> {
  const [ours] = await sql`select from pg_database where datname = ${name} and datdba = ${owner}::regrole`;
  if (ours) await sql.unsafe(`REVOKE CONNECT, TEMPORARY ON DATABASE ${identifier(name)} FROM PUBLIC`);
}

/** Ends the sessions in it, and it. Absent = success. */
export async function deleteDatabase(connections: Connections, name: string): Promise<void> {
  checkDatabase(name);
  await connections.main(async (sql) => {
    const [found] = await sql<{ template: boolean }[]>`select datistemplate as template from pg_database where datname = ${name}`;
    if (!found) return;
    if (found.template) await sql.unsafe(`ALTER DATABASE ${identifier(name)} IS_TEMPLATE false`);
    await drop(sql, name);
  });
}

const drop = (sql: Sql, name: string) => sql.unsafe(`DROP DATABASE IF EXISTS ${identifier(name)} WITH (FORCE)`);

export async function exists(sql: Sql, name: string): Promise<boolean> {
  return (await sql`select from pg_database where datname = ${name}`).length > 0;
}

/** AppError `itemNotFound` for the first of the names that is no database. */
export async function mustExist(sql: Sql, names: string[]): Promise<void> {
  for (const name of names) {
    checkDatabase(name);
    if (!(await exists(sql, name))) throw notFound(`Database ${shown(name)} does not exist.`, { reason: "database.absent", final: true });
  }
}

/** A crash in the middle of a drop leaves a name that can only be dropped again (connection limit -2). */
async function discardHalfDropped(sql: Sql, name: string): Promise<void> {
  const [half] = await sql`select from pg_database where datname = ${name} and datconnlimit = -2`;
  if (half) await drop(sql, name);
}

/**
 * Character set and collation as PostgreSQL or an operating system spell them. Languages come from ICU, which
 * is part of the server: `de_DE.UTF-8` is the same here and on a machine that lacks that locale.
 */
async function localeClauses(sql: Sql, { name, characterSet, collate }: Wanted): Promise<string> {
  const { locale, encoding: suffix } = collate === undefined ? {} : parseLocale(collate);
  const encoding = characterSet ?? suffix ?? "UTF8";
  const [known] = await sql<{ id: number; given: string; suffix: number }[]>`
    select pg_char_to_encoding(${encoding}) as id, pg_encoding_to_char(pg_char_to_encoding(${encoding})) as given,
           pg_char_to_encoding(${suffix ?? encoding}) as suffix`;
  const why = { reason: "database.locale", final: true };
  if (!known || known.id < 0) throw badRequest(`PostgreSQL knows no character set ${shown(encoding)} (database ${shown(name)}).`, why);
  if (known.suffix !== known.id) throw badRequest(`The collation ${shown(collate ?? "")} is not of the character set ${shown(encoding)} (database ${shown(name)}).`, why);
  const clauses = `ENCODING ${literal(known.given)}`;
  // The cluster's own locale is one of UTF8; other encodings get plain byte order.
  if (locale === undefined) return known.given === "UTF8" ? clauses : `${clauses} LOCALE_PROVIDER libc LOCALE 'C'`;
  if (locale === "C") return `${clauses} LOCALE_PROVIDER libc LOCALE 'C'`;
  if (!(await isLanguage(sql, locale))) throw badRequest(`PostgreSQL knows no collation ${shown(collate ?? "")} (database ${shown(name)}).`, why);
  return `${clauses} LOCALE_PROVIDER icu ICU_LOCALE ${literal(locale)} LOCALE 'C'`;
}

/** `C`, a BCP 47 tag, or undefined for the cluster's own; and the encoding that the name asks for. */
function parseLocale(collate: string): { locale?: string; encoding?: string } {
  const [, base = "", encoding] = /^([A-Za-z0-9_-]+)(?:\.([A-Za-z0-9_-]+))?$/.exec(collate) ?? [];
  const asked = encoding === undefined ? {} : { encoding };
  if (/^(C|POSIX)$/i.test(base)) return /^utf-?8$/i.test(encoding ?? "") ? asked : { ...asked, locale: "C" };
  return { ...asked, locale: base.replace(/-x-icu$/, "").replaceAll("_", "-") };
}

/** Whether ICU knows the language, by the collations that PostgreSQL made for those it does. */
async function isLanguage(sql: Sql, tag: string): Promise<boolean> {
  const language = tag.split("-")[0] ?? "";
  const found = await sql`select from pg_collation where collprovider = 'i' and lower(collname) = lower(${`${language}-x-icu`}) and ${language} <> ''`;
  return found.length > 0;
}

/** AppError unless sessions can be opened in it. */
export async function mustBeOpen(sql: Sql, name: string): Promise<void> {
  const [shutOut] = await sql`select from pg_database where datname = ${name} and not datallowconn`;
  if (shutOut) {
    throw new AppError("conflict", `Database ${shown(name)} allows no connections.`, {
      reason: "database.closed",
      next: "Run ALTER DATABASE ... ALLOW_CONNECTIONS true as root.",
      final: true,
    });
  }
}
