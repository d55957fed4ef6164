import type { Machine, Settings } from "#core/engine/engine";
import type { Layout } from "#core/engine/postgresql/volume";

const clamp = (value: number, least: number, most: number) => Math.round(Math.min(Math.max(value, least), most));

/**
 * `postgresql.conf` for a machine and its size. What would need a restart later is set now, so
 * that backups and replicas come without one.
 */
export function settingsText(machine: Machine, files: Layout, settings: Settings): string {
  const all = { ...place(machine, files), ...memory(settings.memoryMb), ...wal(settings.volumeGb), ...logging, ...general };
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${quoted(value)}`);
  // Last, as the later line counts.
  return [...lines, ...[files.tls, files.guard].map((file) => `include_if_exists = ${quoted(file)}`), ""].join("\n");
}

const quoted = (value: string) => `'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;

const place = (machine: Machine, files: Layout) => ({
  listen_addresses: machine.address,
  port: String(machine.port),
  hba_file: files.access,
  // Double quotes, because a list is expected and a path may have a comma.
  unix_socket_directories: `"${machine.runDirectory}"`,
  unix_socket_permissions: "0700",
});

/** How many sessions besides the agent's. */
export const sessions = (memoryMb: number) => clamp(memoryMb / 10, 50, 1000);
/** For the agent, when tenants have taken all others. */
const reserved = 5;

const memory = (mb: number) => ({
  max_connections: String(sessions(mb) + reserved),
  superuser_reserved_connections: String(reserved),
  // A quarter is what PostgreSQL's manual advises; beyond 16 GB the file cache does as well.
  shared_buffers: `${clamp(mb / 4, 32, 16_384)}MB`,
  effective_cache_size: `${clamp(mb * 0.6, 64, 1_048_576)}MB`,
  // A quarter again, if one session in four sorts at the same time.
  work_mem: `${clamp((mb * 1024) / 4 / (sessions(mb) / 4), 4096, 262_144)}kB`,
  maintenance_work_mem: `${clamp(mb / 16, 32, 2048)}MB`,
});

const wal = (volumeGb: number) => ({
  wal_level: "replica",
  wal_log_hints: "on",
  max_wal_senders: "10",
  max_replication_slots: "10",
  hot_standby: "on",
  archive_mode: "on",
  // Says "archived" to everything. An empty command would keep WAL until the volume is full; nothing is lost by this one, as
  // before the first backup there is nothing that WAL could be replayed onto. A backup sets its own command, by reload, before it begins.
  archive_command: "true",
  max_wal_size: `${clamp((volumeGb * 1024) / 10, 128, 4096)}MB`,
  min_wal_size: "80MB",
  // A replica that is gone for long must be made anew; better than a full volume.
  max_slot_wal_keep_size: `${clamp((volumeGb * 1024) / 5, 256, 65_536)}MB`,
});

const logging = {
  logging_collector: "off",
  log_destination: "stderr",
  log_line_prefix: "%m [%p] %q%u@%d ",
  log_timezone: "UTC",
  log_statement: "none",
  log_min_duration_statement: "-1",
  // A failed CREATE ROLE would put its password on disk: errors are logged, without their statements.
  log_min_error_statement: "panic",
  log_parameter_max_length_on_error: "0",
};

const general = {
  timezone: "UTC",
  password_encryption: "scram-sha-256",
  ssl_min_protocol_version: "TLSv1.2",
  // Unnoticed, a client whose machine died holds its session for two hours.
  tcp_keepalives_idle: "60",
  tcp_keepalives_interval: "10",
  tcp_keepalives_count: "6",
  // What root makes, root can use.
  createrole_self_grant: "set, inherit",
};
