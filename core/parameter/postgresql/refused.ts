const because = (reason: string, names: string) => names.trim().split(/\s+/).map((name) => [name, reason] as const);

/** Where a configuration group ends: what it may not set, and why. Everything else a server can be told in its file is offered. */
const reasons: ReadonlyMap<string, string> = new Map([
  ...because(
    "it runs programs or loads code on the host",
    `archive_cleanup_command archive_command archive_library dynamic_library_path extension_control_path jit_provider local_preload_libraries
     oauth_validator_libraries recovery_end_command restore_command session_preload_libraries ssl_passphrase_command ssl_passphrase_command_supports_reload`,
  ),
  ...because(
    "it names files or directories of the host",
    `config_file data_directory external_pid_file hba_file ident_file krb_server_keyfile log_directory log_file_mode log_filename
     stats_temp_directory unix_socket_directories unix_socket_group unix_socket_permissions`,
  ),
  ...because("the platform decides where the server listens", "bonjour bonjour_name listen_addresses port"),
  ...because(
    "the platform keeps TLS",
    `ssl ssl_ca_file ssl_cert_file ssl_ciphers ssl_crl_dir ssl_crl_file ssl_dh_params_file ssl_ecdh_curve ssl_groups ssl_key_file
     ssl_max_protocol_version ssl_min_protocol_version ssl_prefer_server_ciphers ssl_tls13_ciphers`,
  ),
  ...because("the platform decides how clients prove who they are", "db_user_namespace gss_accept_delegation krb_caseins_users"),
  ...because(
    "the platform collects the log",
    "event_source log_destination logging_collector syslog_facility syslog_ident syslog_sequence_numbers syslog_split_messages",
  ),
  ...because(
    "backups and replicas depend on it",
    `archive_mode hot_standby idle_replication_slot_timeout max_replication_slots max_slot_wal_keep_size max_wal_senders primary_conninfo
     primary_slot_name promote_trigger_file recovery_init_sync_method recovery_min_apply_delay recovery_prefetch recovery_target recovery_target_action
     recovery_target_inclusive recovery_target_lsn recovery_target_name recovery_target_time recovery_target_timeline recovery_target_xid summarize_wal
     sync_replication_slots synchronized_standby_slots synchronous_standby_names vacuum_defer_cleanup_age wal_level wal_log_hints
     wal_receiver_create_temp_slot`,
  ),
  ...because("without it a crash can lose the database", "data_sync_retry fsync full_page_writes ignore_checksum_failure ignore_invalid_pages ignore_system_indexes zero_damaged_pages"),
  ...because("the platform's agent needs its own way in", "superuser_reserved_connections"),
  ...because("only a superuser has a use for it", "allow_alter_system allow_in_place_tablespaces allow_system_table_mods"),
  ...because(
    "it is for those who work on PostgreSQL itself",
    `backtrace_functions debug_discard_caches debug_io_direct debug_logical_replication_streaming debug_parallel_query force_parallel_mode
     jit_debugging_support jit_dump_bitcode jit_expressions jit_profiling_support jit_tuple_deforming post_auth_delay pre_auth_delay remove_temp_files_after_crash
     send_abort_for_crash send_abort_for_kill trace_connection_negotiation trace_notify trace_recovery_messages trace_sort wal_consistency_checking`,
  ),
  ...because("it belongs to a transaction, not to a server", "transaction_deferrable transaction_isolation transaction_read_only"),
]);

/** Why a configuration group may not set this parameter; undefined when it may. */
export const refusedBecause = (name: string): string | undefined => reasons.get(name.toLowerCase());

/** All that are refused, in lower case. */
export const refusedNames = (): string[] => [...reasons.keys()];

/** Where only some words of a comma-separated list are allowed: libraries are code. */
const lists: Readonly<Record<string, readonly string[]>> = {
  // Not pg_stat_statements: it would keep the verifiers in the agent's statements on disk, and tenants may not create its extension.
  shared_preload_libraries: ["auto_explain", "pg_prewarm"],
};

/** What is wrong with a value that is a list with an allow-list; undefined when nothing is. */
export function beyondList(name: string, value: string): string | undefined {
  const allowed = lists[name.toLowerCase()];
  const wrong = allowed && value.split(",").map((word) => word.trim()).find((word) => word !== "" && !allowed.includes(word));
  return wrong === undefined ? undefined : `'${wrong}' is not one of ${allowed?.join(", ")}`;
}
