import type { Member } from "#core/engine/replication";
import { badRequest } from "#core/error";
import type { Clock } from "#core/clock";
import { together, type Connections, type Sql } from "#core/engine/postgresql/connections";
import { checkVerifier, followerPrefix, identifier, literal, shown } from "#core/engine/postgresql/names";
import { eventually } from "#core/engine/postgresql/process";

const endMs = 10_000;

/** Throws AppError `badRequest` for a name that is none of a follower's. */
export function checkMember({ name }: Member): void {
  if (!name.startsWith(followerPrefix) || !/^[a-z0-9_]{1,63}$/.test(name)) throw badRequest(`${shown(name)} is no name of a replica.`, { reason: "replica.name", final: true });
}

/** Gives each follower a role and a slot, and takes those of all others away. On a standby roles are its source's: slots alone. */
export async function serve(connections: Connections, members: Member[], verifiers: Record<string, string>, clock: Clock): Promise<void> {
  members.forEach(checkMember);
  const names = members.map(({ name }) => name);
  for (const name of names) checkVerifier(verifiers[name] ?? "");
  await connections.main(async (sql) => {
    if (!(await inRecovery(sql))) await setRoles(sql, verifiers, names);
    await dropSlots(sql, names, clock);
    for (const name of names) {
      const [there] = await sql`select from pg_replication_slots where slot_name = ${name}`;
      // WAL is kept from now on, not from the first connection: the copy takes its time.
      if (!there) await sql`select pg_create_physical_replication_slot(${name}, true)`;
    }
  });
}

export async function inRecovery(sql: Sql): Promise<boolean> {
  const [row] = await sql<{ yes: boolean }[]>`select pg_is_in_recovery() as yes`;
  return row?.yes ?? false;
}

async function setRoles(sql: Sql, verifiers: Record<string, string>, names: string[]): Promise<void> {
  const there = await sql<{ name: string }[]>`select rolname as name from pg_roles where starts_with(rolname, ${followerPrefix})`;
  const known = new Set(there.map(({ name }) => name));
  await together(sql, [
    ...names.map((name) => `${known.has(name) ? "ALTER" : "CREATE"} ROLE ${identifier(name)} LOGIN REPLICATION NOINHERIT PASSWORD ${literal(verifiers[name] ?? "")}`),
    ...[...known].filter((name) => !names.includes(name)).map((name) => `DROP ROLE ${identifier(name)}`),
  ]);
}

/** Slots of nobody that follows, and those that lost what they were to keep. */
async function dropSlots(sql: Sql, keep: string[], clock: Clock): Promise<void> {
  const superfluous = () => sql<{ name: string; pid: number | null }[]>`
    select slot_name as name, active_pid as pid from pg_replication_slots
    where starts_with(slot_name, ${followerPrefix}) and (wal_status = 'lost' or slot_name <> all(string_to_array(${keep.join(",")}, ',')))`;
  await eventually(
    async () => {
      const left = await superfluous();
      for (const { name, pid } of left) {
        if (pid === null) await sql`select pg_drop_replication_slot(${name})`;
        else await sql`select pg_terminate_backend(${pid})`;
      }
      return left.length === 0;
    },
    endMs,
    clock,
  );
  const left = await superfluous();
  if (left.length > 0) throw new Error(`slots that could not be dropped: ${left.map(({ name }) => name).join(", ")}`);
  // A session for the stream alone is none of a slot: whoever has no role any more ends too.
  await sql`select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'walsender' and starts_with(usename, ${followerPrefix}) and usename <> all(string_to_array(${keep.join(",")}, ','))`;
}
