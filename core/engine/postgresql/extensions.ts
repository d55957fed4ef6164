import { AppError, badRequest } from "#core/error";
import { failpoint } from "#core/failpoint";
import { together, type Connections } from "#core/engine/postgresql/connections";
import { mustBeOpen, mustExist } from "#core/engine/postgresql/databases";
import { identifier, isReservedDatabase, literal, shown } from "#core/engine/postgresql/names";
import { readExtensions } from "#core/module/extensions";

/*
 * Extensions by module. Created as the owner of the database, who may create those that PostgreSQL trusts, and nothing
 * else of the module's contents reaches the server. An extension that a module brought carries the ids of the modules
 * that want it in its comment: it goes with the last of them, and one that the tenant made is left alone.
 */

/** Longest for one statement: a script of an extension runs in milliseconds, on a slow machine in a second. */
const STATEMENT_TIMEOUT_MS = 30_000;
/** A lock that a tenant holds is waited for less long than a reply waits for the guest. */
const LOCK_TIMEOUT_MS = 5_000;
const MARK = "coffer modules: ";

interface Target {
  name: string;
  owner: string;
}

/** Brings the extensions that the contents name, and takes away those that this module brought and does not name any more. */
export async function applyExtensions(connections: Connections, id: string, contents: string): Promise<string> {
  const { extensions, databases } = readExtensions(contents);
  if (databases) {
    const reserved = databases.find(isReservedDatabase);
    if (reserved !== undefined) throw badRequest(`The database name ${shown(reserved)} is reserved.`, { reason: "database.reserved", final: true });
    await connections.main((sql) => mustExist(sql, databases));
    for (const database of databases) await connections.main((sql) => mustBeOpen(sql, database));
  }
  const all = await targets(connections);
  const chosen = all.filter(({ name }) => databases?.includes(name) ?? true);
  const closed = databases?.find((name) => !chosen.some((one) => one.name === name));
  if (closed !== undefined) throw badRequest(`Database ${shown(closed)} belongs to the platform.`, { reason: "database.reserved", final: true });
  for (const target of all) {
    await settle(connections, target, id, chosen.includes(target) ? extensions : []);
    await failpoint("postgresql.extensions");
  }
  if (chosen.length === 0) return "There is no database yet: nothing was done.";
  return `${extensions.join(", ")} in ${chosen.map(({ name }) => name).join(", ")}`;
}

/** Takes away what this module alone brought. What tables or functions depend on stays, and is an error. */
export async function removeExtensions(connections: Connections, id: string): Promise<void> {
  for (const target of await targets(connections)) await settle(connections, target, id, []);
}

/** The tenant's databases that let anybody in. */
async function targets(connections: Connections): Promise<Target[]> {
  const rows = await connections.main(
    (sql) => sql<Target[]>`
      select d.datname as name, r.rolname as owner from pg_database d join pg_roles r on r.oid = d.datdba
      where d.datallowconn and not d.datistemplate and d.datconnlimit <> -2 and not r.rolsuper order by d.datname`,
  );
  return rows.filter(({ name }) => !isReservedDatabase(name));
}

/** Makes the extensions of one database those that the module wants, in one transaction. */
async function settle(connections: Connections, { name: database, owner }: Target, id: string, wanted: string[]): Promise<void> {
  await connections.inside(database, async (sql) => {
    const present = await sql<{ name: string; comment: string | null }[]>`select extname as name, obj_description(oid, 'pg_extension') as comment from pg_extension`;
    const statements: string[] = [];
    for (const name of wanted) {
      const there = present.find((one) => one.name === name);
      const users = usersOf(there?.comment);
      if (!there) statements.push(`CREATE EXTENSION ${identifier(name)} SCHEMA public`, mark(name, [id]));
      else if (users && !users.includes(id)) statements.push(mark(name, [...users, id]));
    }
    for (const { name, comment } of present) {
      const users = usersOf(comment);
      if (!users?.includes(id) || wanted.includes(name)) continue;
      const others = users.filter((other) => other !== id);
      statements.push(others.length > 0 ? mark(name, others) : `DROP EXTENSION ${identifier(name)} RESTRICT`);
    }
    if (statements.length === 0) return;
    await together(sql, [`SET statement_timeout = ${STATEMENT_TIMEOUT_MS}`, `SET lock_timeout = ${LOCK_TIMEOUT_MS}`, `SET ROLE ${identifier(owner)}`, ...statements]).catch((error: unknown) => {
      throw slow(error, database);
    });
  });
}

const mark = (name: string, modules: string[]) => `COMMENT ON EXTENSION ${identifier(name)} IS ${literal(MARK + modules.join(" "))}`;

/** The modules that want an extension; undefined for one that no module brought. */
const usersOf = (comment: string | null | undefined): string[] | undefined => (comment?.startsWith(MARK) ? comment.slice(MARK.length).split(" ") : undefined);

/** `query_canceled`: otherwise it would read as a server that is going down. */
function slow(error: unknown, database: string): unknown {
  if (!(error instanceof Error) || !("code" in error) || error.code !== "57014") return error;
  return new AppError("conflict", `Database ${shown(database)} did not take its extensions within ${STATEMENT_TIMEOUT_MS / 1000} s.`, { reason: "module.timeout", cause: error });
}
