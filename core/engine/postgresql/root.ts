import type { Clock } from "#core/clock";
import type { Connections, Transaction } from "#core/engine/postgresql/connections";
import { checkVerifier, heir, identifier, isReservedUser, literal, owner, root } from "#core/engine/postgresql/names";
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
  await connections.atOnce(async (tx) => {
    const how = (await roleExists(tx, root)) ? "ALTER ROLE" : "CREATE ROLE";
    await tx.unsafe(`${how} ${root} ${rights} PASSWORD ${literal(verifier)}`);
    await tx.unsafe(`GRANT pg_monitor, pg_signal_backend TO ${root}`);
    // The rights of the owner of every database, and what deleted users left, but not to make others members of either.
    await tx.unsafe(`GRANT ${owner}, ${heir} TO ${root} WITH ADMIN FALSE, INHERIT TRUE, SET TRUE`);
    await tx.unsafe(`GRANT CONNECT ON DATABASE postgres TO ${root}`);
    const roles = await tx<{ name: string }[]>`select rolname as name from pg_roles where not rolsuper`;
    for (const { name } of roles) if (!isReservedUser(name)) await manage(tx, name);
  });
}

/** Sets a password that nobody knows and ends the sessions; the account remains (contract §6.15). Never enabled = success. */
export async function disableRoot(connections: Connections, verifier: string, clock: Clock): Promise<void> {
  checkVerifier(verifier);
  const there = await connections.atOnce(async (tx) => {
    if (!(await roleExists(tx, root))) return false;
    await tx.unsafe(`ALTER ROLE ${root} PASSWORD ${literal(verifier)}`);
    return true;
  });
  if (there) await endSessions(connections, root, clock);
}

/** Puts a user under root's hand. */
export const manage = (tx: Transaction, name: string) => tx.unsafe(`GRANT ${identifier(name)} TO ${root} WITH ADMIN TRUE, INHERIT TRUE, SET TRUE`);
