const clamp = (value: number, least: number, most: number) => Math.round(Math.min(Math.max(value, least), most));

/** What an instance's settings are derived from. */
export interface Size {
  memoryMb: number;
  volumeGb: number;
}

/** What a configuration group may change: the platform's own choice for a server of this size. */
export const defaults = ({ memoryMb, volumeGb }: Size): Record<string, string> => ({ ...memory(memoryMb), ...wal(volumeGb), ...logging, ...general });

/** How many sessions besides the agent's. */
export const sessions = (memoryMb: number) => clamp(memoryMb / 10, 50, 1000);
/** For the agent, when tenants have taken all others. */
export const reservedSessions = 5;

const memory = (mb: number) => ({
  max_connections: String(sessions(mb) + reservedSessions),
  // A quarter is what PostgreSQL's manual advises; beyond 16 GB the file cache does as well.
  shared_buffers: `${clamp(mb / 4, 32, 16_384)}MB`,
  effective_cache_size: `${clamp(mb * 0.6, 64, 1_048_576)}MB`,
  // A quarter again, if one session in four sorts at the same time.
  work_mem: `${clamp((mb * 1024) / 4 / (sessions(mb) / 4), 4096, 262_144)}kB`,
  maintenance_work_mem: `${clamp(mb / 16, 32, 2048)}MB`,
});

const wal = (volumeGb: number) => ({
  max_wal_size: `${clamp((volumeGb * 1024) / 10, 128, 4096)}MB`,
  min_wal_size: "80MB",
  // What is committed can be restored to the second once its segment is archived: at the latest after this.
  archive_timeout: "60s",
});

const logging = {
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
  // Unnoticed, a client whose machine died holds its session for two hours.
  tcp_keepalives_idle: "60",
  tcp_keepalives_interval: "10",
  tcp_keepalives_count: "6",
  // What root makes, root can use.
  createrole_self_grant: "set, inherit",
};
