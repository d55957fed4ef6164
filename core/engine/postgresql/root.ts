import type { Clock } from "#core/clock";
import { together, type Connections } from "#core/engine/postgresql/connections";
import { checkVerifier, heir, home, identifier, isReservedUser, literal, owner, root } from "#core/engine/postgresql/names";
import { endSessions } from "#core/engine/postgresql/removal";
import { roleExists } from "#core/engine/postgresql/users";

/**
 * The user's administrator: rules over everything the tenant has, and over nothing of the host's. Not
 * pg_read_all_data, which reads pg_authid too; the membership in every user gives it the same data and no verifier.
 * Extensions: those that PostgreSQL calls trusted, by the right to create in every database.
 */
const rights = "LOGIN NOSUPERUSER CREATEDB CREATEROLE NOREPLICATION NOBYPASSRLS INHERIT CONNECTION LIMIT -1";

/** Gives `root` this password, and every right again that it shall have. */
export async function enableRoot(connections: Connections, verifier: string): Promise<void> {
  checkVerifier(verifier);
  await connections.main(async (sql) => {
    const how = (await roleExists(sql, root)) ? "ALTER ROLE" : "CREATE ROLE";
    const roles = await sql<{ name: string }[]>`select rolname as name from pg_roles where not rolsuper`;
    await together(sql, [
      `${how} ${root} ${rights} PASSWORD ${literal(verifier)}`,
      `GRANT pg_monitor, pg_signal_backend TO ${root}`,
      // The rights of the owner of every database, and what deleted users left, but not to make others members of either.
      `GRANT ${owner}, ${heir} TO ${root} WITH ADMIN FALSE, INHERIT TRUE, SET TRUE`,
      `GRANT CONNECT ON DATABASE ${home} TO ${root}`,
      ...roles.filter(({ name }) => !isReservedUser(name)).map(({ name }) => manage(name)),
    ]);
  });
}

/** Sets a password that nobody knows and ends the sessions; the account remains (contract §6.15). Never enabled = success. */
export async function disableRoot(connections: Connections, verifier: string, clock: Clock): Promise<void> {
  checkVerifier(verifier);
  const there = await connections.main(async (sql) => {
    if (!(await roleExists(sql, root))) return false;
    await sql.unsafe(`ALTER ROLE ${root} PASSWORD ${literal(verifier)}`);
    return true;
  });
  if (there) await endSessions(connections, root, clock);
}

/** The statement that puts a user under root's hand. */
export const manage = (name: string) => `GRANT ${identifier(name)} TO ${root} WITH ADMIN TRUE, INHERIT TRUE, SET TRUE`;
