import { chown, open } from "node:fs/promises";
import type { Machine, Settings } from "#core/engine/engine";
import type { Source, Standby } from "#core/engine/replication";
import { codeOf } from "#core/error";
import { asRoot } from "#core/engine/postgresql/cluster";
import { place, syncDirectory } from "#core/engine/postgresql/files";
import type { Layout } from "#core/engine/postgresql/volume";
import { defaults } from "#core/parameter/postgresql/defaults";

const quoted = (value: string) => `'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;

/** PostgreSQL's own defaults, of what neither the size nor the platform decides. */
const builtIn: Record<string, number> = { max_worker_processes: 8, max_prepared_transactions: 0, max_locks_per_transaction: 64, max_wal_senders: 10 };

/**
 * Text of the file that `postgresql.conf` includes last, empty but on a replica. The source proves itself by the password's
 * verifier, bound to the TLS channel (RFC 5802, RFC 5929), so that nobody can stand between, whichever certificate it presents; where
 * that is the installation's it is asked for by name besides.
 */
export function replicationText(files: Layout, settings: Settings): string {
  const { standby } = settings;
  if (!standby) return "";
  const lines = [
    // Of a source that says nothing for so long another connection is tried; as often as the second one says.
    "wal_receiver_timeout = '15s'",
    "wal_retrieve_retry_interval = '1s'",
    ...Object.entries(raised(settings, standby)).map(([name, value]) => `${name} = ${quoted(String(value))}`),
    ...(standby.source ? [`primary_conninfo = ${quoted(conninfo(files, standby.source))}`, `primary_slot_name = ${quoted(standby.source.name)}`] : []),
  ];
  return `${lines.join("\n")}\n`;
}

const word = (value: string) => `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;

const conninfo = (files: Layout, { host, port, name }: Source) =>
  Object.entries({
    host,
    port: String(port),
    user: name,
    passfile: files.passwords,
    application_name: name,
    sslmode: "require",
    channel_binding: "require",
    connect_timeout: "5",
    // What stood still for as long is dead: a source that was cut off must not hold us.
    keepalives_idle: "5",
    keepalives_interval: "2",
    keepalives_count: "3",
  })
    .map(([key, value]) => `${key}=${word(value)}`)
    .join(" ");

/** What the source demands more of than this server would have by itself. */
function raised(settings: Settings, { floors = {} }: Standby): Record<string, number> {
  const own: Record<string, string | number | boolean> = { ...builtIn, ...defaults(settings) };
  for (const [name, value] of Object.entries(settings.overrides ?? {})) own[name.toLowerCase()] = value;
  return Object.fromEntries(Object.entries(floors).filter(([name, least]) => Number(own[name] ?? 0) < least));
}

/** Readable for the engine's user alone, as libpq demands, in a directory where only we can put another one in its place. */
export async function placePassword(machine: Machine, files: Layout, { name }: Source, password: string): Promise<void> {
  const user = asRoot() ? machine.engineUser : undefined;
  const escaped = password.replaceAll("\\", "\\\\").replaceAll(":", "\\:");
  await place(files.passwords, `*:*:*:${name}:${escaped}\n`, { mode: 0o400 });
  if (user) await chown(files.passwords, user.uid, user.gid);
}

/**
 * Has the next start of the server end in a standby. It is never taken away by hand: the server itself does, when it is promoted and
 * has begun a timeline of its own. Without that, two servers could write the same one.
 */
export async function raiseSignal(machine: Machine, files: Layout): Promise<void> {
  const user = asRoot() ? machine.engineUser : undefined;
  try {
    // Made, never followed: the directory belongs to the engine's user.
    const file = await open(files.signal, "wx", 0o600);
    try {
      if (user) await file.chown(user.uid, user.gid);
      await file.sync();
    } finally {
      await file.close();
    }
    await syncDirectory(files.pgdata);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
}
