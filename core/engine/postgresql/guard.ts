import type { Writes } from "#core/engine/engine";
import type { Connections } from "#core/engine/postgresql/connections";
import { superuser } from "#core/engine/postgresql/names";

/*
 * A PostgreSQL that finds no room for a WAL segment ends with PANIC, and does not come up before there is some. So writing
 * ends while there is room left.
 *
 * PostgreSQL has no read-only mode that its users cannot leave, except that of a standby, in which
 * nobody could delete anything either. `default_transaction_read_only` is what hosted PostgreSQL
 * commonly uses: an application's writes fail with 25006, and who knows what he does can say
 * `BEGIN READ WRITE` and make room. It bounds nobody who insists; `closed` does, by ending his sessions.
 */

const readOnly = {
  default_transaction_read_only: "on",
  // Sorts spill to disk in read-only transactions too; users cannot set this one.
  temp_file_limit: "8MB",
};

/** Segments are kept for reuse up to these, by default far more: a checkpoint gives back what is above. */
const littleWal = { min_wal_size: "32MB", max_wal_size: "48MB" };

const settings: Record<Writes, Record<string, string>> = {
  open: {},
  guarded: readOnly,
  closed: { ...readOnly, ...littleWal },
};

/** Text of a file that `postgresql.conf` includes last. */
export const guardText = (writes: Writes) =>
  Object.entries(settings[writes])
    .map(([name, value]) => `${name} = '${value}'\n`)
    .join("");

/** What the running server goes by, told by the settings that no session can have changed for itself. */
export async function inForce(connections: Connections): Promise<Writes> {
  const names = Object.keys(littleWal).concat("temp_file_limit");
  const rows = await connections.main((sql) => sql<{ name: string; value: string }[]>`
    select name, current_setting(name) as value from unnest(string_to_array(${names.join(",")}, ',')) as name`);
  const has = (wanted: Record<string, string>) => rows.every(({ name, value }) => !(name in wanted) || wanted[name] === value);
  if (!has(settings.guarded)) return "open";
  return has(settings.closed) ? "closed" : "guarded";
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
    // Gives back the WAL that they made necessary, as far as the settings let it.
    if (which === "all" && ended.length > 0) await sql`checkpoint`;
  });
}
