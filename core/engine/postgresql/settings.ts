import type { Machine, Settings } from "#core/engine/engine";
import { command } from "#core/engine/postgresql/shell";
import type { Layout } from "#core/engine/postgresql/volume";
import type { Overrides } from "#core/parameter/fact";
import { defaults, reservedSessions } from "#core/parameter/postgresql/defaults";

/** The server's own log, with the statements in it (contract §7.2). */
export const generalLog = "general";

const clamp = (value: number, least: number, most: number) => Math.round(Math.min(Math.max(value, least), most));

/**
 * `postgresql.conf` for a machine and its size: the platform's choice, then the file with what a
 * configuration group sets, then what is nobody's to change. In PostgreSQL the last word on a parameter counts.
 */
export function settingsText(machine: Machine, files: Layout, settings: Settings, overrides: string): string {
  return [
    ...lines(defaults(settings)),
    `include_if_exists = ${quoted(overrides)}`,
    ...lines({ ...statements(settings), ...place(machine, files), ...fixed(settings, files) }),
    ...[files.tls, files.guard, files.replication].map((file) => `include_if_exists = ${quoted(file)}`),
    "",
  ].join("\n");
}

/** The file with what a configuration group sets. */
export const overridesText = (overrides: Overrides = {}): string =>
  [...lines(Object.fromEntries(Object.entries(overrides).map(([name, value]) => [name, wordOf(value)]))), ""].join("\n");

const wordOf = (value: string | number | boolean) => (typeof value === "boolean" ? (value ? "on" : "off") : String(value));

const lines = (all: Record<string, string>) => Object.entries(all).map(([name, value]) => `${name} = ${quoted(value)}`);

const quoted = (value: string) => `'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;

const place = (machine: Machine, files: Layout) => ({
  listen_addresses: machine.address,
  port: String(machine.port),
  hba_file: files.access,
  // Double quotes, because a list is expected and a path may have a comma.
  unix_socket_directories: `"${machine.runDirectory}"`,
  unix_socket_permissions: "0700",
});

/**
 * The log `general`: every statement of every session but the agent's. Above what a configuration group says, which could
 * leave nothing to log. Values that travel apart from their statement stay out: among them are passwords that applications keep.
 */
const statements = ({ logs = [] }: Settings): Record<string, string> => (logs.includes(generalLog) ? { log_statement: "all", log_parameter_max_length: "0" } : {});

/** What would need a restart later is set now, so that backups and replicas come without one. */
const fixed = ({ volumeGb }: Settings, { archiveScript }: Layout) => ({
  superuser_reserved_connections: String(reservedSessions),
  wal_level: "replica",
  wal_log_hints: "on",
  max_wal_senders: "10",
  max_replication_slots: "10",
  hot_standby: "on",
  archive_mode: "on",
  archive_command: command(archiveScript, "%p", "%f"),
  // A replica that is gone for long must be made anew; better than a full volume.
  max_slot_wal_keep_size: `${clamp((volumeGb * 1024) / 5, 256, 65_536)}MB`,
  logging_collector: "off",
  log_destination: "stderr",
  ssl_min_protocol_version: "TLSv1.2",
});
