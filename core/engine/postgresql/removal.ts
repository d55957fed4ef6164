import type { Clock } from "#core/clock";
import { AppError } from "#core/error";
import { failpoint } from "#core/failpoint";
import { together, type Connections } from "#core/engine/postgresql/connections";
import { mustBeOpen } from "#core/engine/postgresql/databases";
import { checkUser, heir, home, identifier, owner, shown } from "#core/engine/postgresql/names";
import { eventually } from "#core/engine/postgresql/process";
import { roleExists } from "#core/engine/postgresql/users";

const sessionsGoneMs = 10_000;

/**
 * Deletes a user. What it owned stays and goes to a role that can do nothing, never to a superuser: functions
 * and views run with the rights of their owner. Absent = success; a repeat after a crash goes on.
 */
export async function deleteUser(connections: Connections, name: string, clock: Clock): Promise<void> {
  checkUser(name);
  if (!(await connections.main((sql) => roleExists(sql, name)))) return;
  const role = identifier(name);
  // Not NOLOGIN: should this fail in its middle, the user is still listed as one, and can be deleted again.
  await connections.main((sql) => sql.unsafe(`ALTER ROLE ${role} CONNECTION LIMIT 0`));
  await endSessions(connections, name, clock);
  await failpoint("postgresql.removal");
  const databases = await connections.main(async (sql) => {
    const owned = await sql<{ name: string }[]>`select datname as name from pg_database where datdba = (select oid from pg_roles where rolname = ${name})`;
    for (const database of owned) await sql.unsafe(`ALTER DATABASE ${identifier(database.name)} OWNER TO ${owner}`);
    // Where the user owns something or was given something.
    return sql<{ name: string }[]>`
      select d.datname as name from pg_database d
      where exists (select from pg_shdepend s join pg_roles r on r.oid = s.refobjid
                    where s.dbid = d.oid and s.refclassid = 'pg_authid'::regclass and r.rolname = ${name})`;
  });
  // In one database at least, for what is shared by all.
  for (const database of new Set([...databases.map((one) => one.name), home])) {
    await connections.main((sql) => mustBeOpen(sql, database));
    // After the first nothing is owned any more: the second takes away rights only.
    await connections.inside(database, (sql) => together(sql, [`REASSIGN OWNED BY ${role} TO ${heir}`, `DROP OWNED BY ${role}`]));
    await failpoint("postgresql.removal.database");
  }
  await connections.main((sql) => sql.unsafe(`DROP ROLE ${role}`));
}

/** Ends the sessions of a role, and awaits their end. */
export async function endSessions(connections: Connections, name: string, clock: Clock): Promise<void> {
  const gone = await eventually(
    () =>
      connections.main(async (sql) => {
        const left = await sql`select pg_terminate_backend(pid) from pg_stat_activity where usename = ${name}`;
        return left.length === 0;
      }),
    sessionsGoneMs,
    clock,
  );
  if (!gone) throw new AppError("conflict", `The sessions of user ${shown(name)} do not end.`, { reason: "user.sessions", next: "Try again." });
}
