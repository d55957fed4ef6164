import type { JobSpec } from "#core/guest/protocol";
import { AppError, notFound } from "#core/error";
import { failpoint } from "#core/failpoint";
import type { Connections, Sql, Transaction } from "#core/engine/postgresql/connections";
import { mustBeOpen, mustExist } from "#core/engine/postgresql/databases";
import { checkDatabase, checkUser, checkVerifier, identifier, literal, root, shown } from "#core/engine/postgresql/names";
import { manage } from "#core/engine/postgresql/root";

export const roleExists = async (sql: Sql | Transaction, name: string): Promise<boolean> => (await sql`select from pg_roles where rolname = ${name}`).length > 0;

const absent = (name: string) => notFound(`User ${shown(name)} does not exist.`, { reason: "user.absent", final: true });

async function mustBeThere(sql: Sql | Transaction, name: string): Promise<void> {
  checkUser(name);
  if (!(await roleExists(sql, name))) throw absent(name);
}

/** Makes the users, or gives those who are there the password; then lets them into their databases. */
export async function createUsers(connections: Connections, users: JobSpec<"create_users">["users"]): Promise<void> {
  for (const { name, verifier } of users) {
    checkUser(name);
    checkVerifier(verifier);
  }
  await connections.main((sql) => mustExist(sql, [...new Set(users.flatMap((user) => user.databases))]));
  await connections.atOnce(async (tx) => {
    for (const { name, verifier } of users) {
      const how = (await roleExists(tx, name)) ? "ALTER ROLE" : "CREATE ROLE";
      const rights = how === "CREATE ROLE" ? "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS" : "CONNECTION LIMIT -1";
      await tx.unsafe(`${how} ${identifier(name)} LOGIN ${rights} PASSWORD ${literal(verifier)}`);
      if (await roleExists(tx, root)) await manage(tx, name);
    }
  });
  await failpoint("postgresql.users");
  await grantAll(connections, users);
}

/** Sets the passwords of all, or, when one of the users does not exist, of none. */
export async function changePasswords(connections: Connections, users: JobSpec<"change_passwords">["users"]): Promise<void> {
  for (const { verifier } of users) checkVerifier(verifier);
  await connections.atOnce(async (tx) => {
    for (const { name, verifier } of users) {
      await mustBeThere(tx, name);
      await tx.unsafe(`ALTER ROLE ${identifier(name)} PASSWORD ${literal(verifier)}`);
    }
  });
}

/** New name, new password, or both at once. What the user owns and may do stays. Hosts mean nothing to PostgreSQL. */
export async function updateUser(connections: Connections, { name, newName = name, verifier }: JobSpec<"update_user">): Promise<void> {
  checkUser(name);
  checkUser(newName);
  if (verifier !== undefined) checkVerifier(verifier);
  await connections.atOnce(async (tx) => {
    if (newName !== name) {
      const [before, after] = [await roleExists(tx, name), await roleExists(tx, newName)];
      if (before && after) throw new AppError("conflict", `User ${shown(newName)} exists already.`, { reason: "user.exists", final: true });
      if (before) await tx.unsafe(`ALTER ROLE ${identifier(name)} RENAME TO ${identifier(newName)}`);
      // Only the new name there: an earlier run of the same job got this far.
      else if (!after) throw absent(name);
    } else await mustBeThere(tx, name);
    if (verifier !== undefined) await tx.unsafe(`ALTER ROLE ${identifier(newName)} PASSWORD ${literal(verifier)}`);
  });
}

/** Everything in the databases that a user may do who owns none of them. */
export async function grant(connections: Connections, { name, databases }: JobSpec<"grant">): Promise<void> {
  await connections.main((sql) => mustBeThere(sql, name));
  await connections.main((sql) => mustExist(sql, databases));
  await grantAll(connections, [{ name, databases }]);
}

async function grantAll(connections: Connections, users: { name: string; databases: string[] }[]): Promise<void> {
  for (const database of new Set(users.flatMap((user) => user.databases))) {
    const names = users.filter((user) => user.databases.includes(database)).map((user) => identifier(user.name)).join(", ");
    await connections.main((sql) => mustBeOpen(sql, database));
    await connections.inside(database, async (tx) => {
      await tx.unsafe(`GRANT ALL ON DATABASE ${identifier(database)} TO ${names}`);
      // From PostgreSQL 15 on, schema public is nobody's to create in. Its owner may have dropped it.
      if (await hasPublic(tx)) await tx.unsafe(`GRANT ALL ON SCHEMA public TO ${names}`);
    });
  }
}

/** Undoes a grant and ends the user's sessions there. Not granted = success. */
export async function revoke(connections: Connections, { name, database }: JobSpec<"revoke">): Promise<void> {
  checkDatabase(database);
  const there = await connections.main(async (sql) => {
    await mustBeThere(sql, name);
    return (await sql`select from pg_database where datname = ${database}`).length > 0;
  });
  if (!there) return;
  await connections.main((sql) => mustBeOpen(sql, database));
  await connections.inside(database, async (tx) => {
    await tx.unsafe(`REVOKE ALL ON DATABASE ${identifier(database)} FROM ${identifier(name)} CASCADE`);
    if (await hasPublic(tx)) await tx.unsafe(`REVOKE ALL ON SCHEMA public FROM ${identifier(name)} CASCADE`);
    // A superuser revokes what the owner gave; what another user passed on is that one's to take.
    const [other] = await tx<{ by: string }[]>`
      select a.grantor::regrole::text as by from pg_database d, aclexplode(d.datacl) a, pg_roles r
      where d.datname = ${database} and r.rolname = ${name} and a.grantee = r.oid and a.privilege_type = 'CONNECT' and r.oid <> d.datdba`;
    if (other) throw new AppError("conflict", `User ${shown(name)} has access to ${shown(database)} from ${other.by}.`, { reason: "grant.other", next: "Revoke it there.", final: true });
  });
  await connections.main((sql) => sql`select pg_terminate_backend(pid) from pg_stat_activity where usename = ${name} and datname = ${database}`);
}

const hasPublic = async (tx: Transaction): Promise<boolean> => (await tx`select from pg_namespace where nspname = 'public'`).length > 0;
