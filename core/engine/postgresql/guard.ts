import { writeLimits, type Writes } from "#core/engine/engine";
import type { Connections } from "#core/engine/postgresql/connections";
import { superuser } from "#core/engine/postgresql/names";

/*
 * A PostgreSQL that finds no room for a WAL segment ends with PANIC, and does not come up before there is some. So writing
 * ends while there is room left; and should a volume fill faster than anyone can look, `reserve.ts` has the way back.
 *
 * PostgreSQL has no read-only mode that its users cannot leave, except that of a standby, in which
 * nobody could delete anything either. `default_transaction_read_only` is what hosted PostgreSQL
 * commonly uses: an application's writes fail with 25006, and who knows what he does can say
 * `BEGIN READ WRITE` and make room. It bounds nobody who insists; `closed` does, by ending his sessions.
 */

const readOnly = {
  default_transaction_read_only: "on",
  // Segments that are there are used again, up to max_wal_size, and never given up: what others fill cannot be missing for WAL then.
  min_wal_size: "4GB",
};

/** Sorts spill to disk in read-only transactions too. Users cannot set `temp_file_limit`, so it also tells the limits apart. */
const settings: Record<Writes, Record<string, string>> = {
  open: {},
  guarded: { ...readOnly, temp_file_limit: "8MB" },
  closed: { ...readOnly, temp_file_limit: "4MB" },
};

/** Text of a file that `postgresql.conf` includes last. */
export const guardText = (writes: Writes) =>
  Object.entries(settings[writes])
    .map(([name, value]) => `${name} = '${value}'\n`)
    .join("");

/** What the running server goes by. */
export async function inForce(connections: Connections): Promise<Writes> {
  const [row] = await connections.main((sql) => sql<{ limit: string }[]>`select current_setting('temp_file_limit') as limit`);
  return writeLimits.find((writes) => settings[writes].temp_file_limit === row?.limit) ?? "open";
}

/**
 * Cuts off tenants' sessions whose transaction has written: `all`, or those that are `older` than the settings in
 * force, while the later ones asked to write, knowing the rule. Those of the agent are spared.
 */
export async function endWriters(connections: Connections, which: "all" | "older"): Promise<void> {
  await connections.main(async (sql) => {
    const ended = await sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where backend_type = 'client backend' and backend_xid is not null and usename is distinct from ${superuser}
        and (${which} = 'all' or xact_start < pg_conf_load_time())`;
    // What they wrote is in the data files then, and its WAL is free to be used again.
    if (which === "all" && ended.length > 0) await sql`checkpoint`;
  });
}
