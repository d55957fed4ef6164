import type { JobSpec } from "#core/guest/protocol";
import { AppError, notFound } from "#core/error";
import { failpoint } from "#core/failpoint";
import { together, type Connections, type Sql } from "#core/engine/postgresql/connections";
import { mustBeOpen, mustExist } from "#core/engine/postgresql/databases";
import { checkDatabase, checkUser, checkVerifier, identifier, literal, root, shown } from "#core/engine/postgresql/names";
import { manage } from "#core/engine/postgresql/root";

export const roleExists = async (sql: Sql, name: string): Promise<boolean> => (await sql`select from pg_roles where rolname = ${name}`).length > 0;

const absent = (name: string) => notFound(`User ${shown(name)} does not exist.`, { reason: "user.absent", final: true });

async function mustBeThere(sql: Sql, name: string): Promise<void> {
  checkUser(name);
  if (!(await roleExists(sql, name))) throw absent(name);
}

/** Makes the users, or gives those who are there the password; then lets them into their databases. */
export async function createUsers(connections: Connections, users: JobSpec<"create_users">["users"]): Promise<void> {
  for (const { name, verifier } of users) {
    checkUser(name);
    checkVerifier(verifier);
  }
  await connections.main(async (sql) => {
    await mustExist(sql, [...new Set(users.flatMap((user) => user.databases))]);
    const underRoot = await roleExists(sql, root);
    const statements: string[] = [];
    for (const { name, verifier } of users) {
      const made = (await roleExists(sql, name))
        ? `ALTER ROLE ${identifier(name)} LOGIN CONNECTION LIMIT -1`
        : `CREATE ROLE ${identifier(name)} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS`;
      statements.push(`${made} PASSWORD ${literal(verifier)}`, ...(underRoot ? [manage(name)] : []));
    }
    await together(sql, statements);
  });
  await failpoint("postgresql.users");
  await grantAll(connections, users);
}

const password = (name: string, verifier: string) => `ALTER ROLE ${identifier(name)} PASSWORD ${literal(verifier)}`;

/** Sets the passwords of all, or, when one of the users does not exist, of none. */
export async function changePasswords(connections: Connections, users: JobSpec<"change_passwords">["users"]): Promise<void> {
  for (const { verifier } of users) checkVerifier(verifier);
  await connections.main(async (sql) => {
    for (const { name } of users) await mustBeThere(sql, name);
    await together(sql, users.map(({ name, verifier }) => password(name, verifier)));
  });
}

/** New name, new password, or both at once. What the user owns and may do stays. Hosts mean nothing to PostgreSQL. */
export async function updateUser(connections: Connections, { name, newName = name, verifier }: JobSpec<"update_user">): Promise<void> {
  checkUser(name);
  checkUser(newName);
  if (verifier !== undefined) checkVerifier(verifier);
  await connections.main(async (sql) => {
    const statements: string[] = [];
    if (newName !== name) {
      const [before, after] = [await roleExists(sql, name), await roleExists(sql, newName)];
      if (before && after) throw new AppError("conflict", `User ${shown(newName)} exists already.`, { reason: "user.exists", final: true });
      if (before) statements.push(`ALTER ROLE ${identifier(name)} RENAME TO ${identifier(newName)}`);
      // Only the new name there: an earlier run of the same job got this far.
      else if (!after) throw absent(name);
    } else await mustBeThere(sql, name);
    if (verifier !== undefined) statements.push(password(newName, verifier));
    await together(sql, statements);
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
    await connections.inside(database, async (sql) => {
      // From PostgreSQL 15 on, schema public is nobody's to create in. Its owner may have dropped it.
      const inPublic = (await hasPublic(sql)) ? [`GRANT ALL ON SCHEMA public TO ${names}`] : [];
      await together(sql, [`GRANT ALL ON DATABASE ${identifier(database)} TO ${names}`, ...inPublic]);
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
  await connections.inside(database, async (sql) => {
    const inPublic = (await hasPublic(sql)) ? [`REVOKE ALL ON SCHEMA public FROM ${identifier(name)} CASCADE`] : [];
    await together(sql, [`REVOKE ALL ON DATABASE ${identifier(database)} FROM ${identifier(name)} CASCADE`, ...inPublic]);
    // A superuser revokes what the owner gave; what another user passed on is that one's to take.
    const [other] = await sql<{ by: string }[]>`
      select a.grantor::regrole::text as by from pg_database d, aclexplode(d.datacl) a, pg_roles r
      where d.datname = ${database} and r.rolname = ${name} and a.grantee = r.oid and a.privilege_type = 'CONNECT' and r.oid <> d.datdba`;
    if (other) throw new AppError("conflict", `User ${shown(name)} has access to ${shown(database)} from ${other.by}.`, { reason: "grant.other", next: "Revoke it there.", final: true });
  });
  await connections.main((sql) => sql`select pg_terminate_backend(pid) from pg_stat_activity where usename = ${name} and datname = ${database}`);
}

const hasPublic = async (sql: Sql): Promise<boolean> => (await sql`select from pg_namespace where nspname = 'public'`).length > 0;
