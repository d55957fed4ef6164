import { sql } from "drizzle-orm";
import { bigint, boolean, index, integer, jsonb, pgTable, text, uuid, type AnyPgColumn } from "drizzle-orm/pg-core";
import { configuration } from "#core/configuration/configuration.sql";
import { datastoreVersion } from "#core/datastore/datastore.sql";
import { base, instant } from "#core/db/columns";
import type { TlsMode } from "#core/guest/protocol";
import type { ExternalKind } from "#core/id";
import type { ServerState, ServiceStatus, Task } from "#core/instance/status";

export interface Access {
  is_public?: boolean;
  allowed_cidrs?: string[];
}

export interface Nic {
  network_id?: string;
  subnet_id?: string;
  ip_address?: string;
}

/**
 * The inputs of the status (task, server state, service status), never the status itself.
 * Every change is a guarded update that raises `version`.
 */
export const instance = pgTable(
  "instance",
  {
    ...base,
    deletedAt: instant("deleted_at"),
    projectId: text("project_id").notNull(),
    createdBy: text("created_by").notNull(),
    name: text("name").notNull(),
    version: integer("version").notNull().default(1),
    /** Raised when a server is replaced or revoked; what an older generation says is refused. */
    generation: integer("generation").notNull().default(1),
    /** The intent: `absent` is a wish that no running work may ignore. */
    desired: text("desired").$type<"present" | "absent">().notNull().default("present"),
    task: text("task").$type<Task>().notNull(),
    serverState: text("server_state").$type<ServerState>().notNull(),
    serviceStatus: text("service_status").$type<ServiceStatus>().notNull(),
    serviceStatusAt: instant("service_status_at").notNull(),
    /** For how long the guest may say nothing, as it was last told; its silence begins to count after that. */
    silenceSeconds: integer("silence_seconds").notNull().default(0),
    datastoreVersionId: uuid("datastore_version_id")
      .notNull()
      .references(() => datastoreVersion.id),
    flavorId: text("flavor_id").notNull(),
    volumeGb: integer("volume_gb").notNull(),
    volumeType: text("volume_type"),
    /** Bytes on the data volume as the guest last reported them. */
    volumeUsedBytes: bigint("volume_used_bytes", { mode: "number" }),
    volumeTotalBytes: bigint("volume_total_bytes", { mode: "number" }),
    /** Since when the guest lets nobody write, as the volume is nearly full; null = tenants write as they please. */
    readOnlySince: instant("read_only_since"),
    region: text("region").notNull(),
    availabilityZone: text("availability_zone"),
    locality: text("locality"),
    nics: jsonb("nics").$type<Nic[]>().notNull().default([]),
    access: jsonb("access").$type<Access>().notNull().default({}),
    /** Where clients connect; null until the port exists. */
    address: text("address"),
    /** Not the engine's standard one only where the system has a single loopback address. */
    port: integer("port"),
    /** The attached group. */
    configurationId: uuid("configuration_id").references(() => configuration.id),
    /** A value of the group waits for a restart, or for the guest's word that none does. */
    configurationPending: boolean("configuration_pending").notNull().default(false),
    /** What the guest last said is in force (contract §5.6), and where its certificate came from. */
    sslMode: text("ssl_mode").$type<TlsMode>().notNull().default("builtin"),
    sslContainerRef: text("ssl_container_ref"),
    sslPasswordRef: text("ssl_password_ref"),
    /** The backup that is being made of it, for as long as it runs (contract §3.1, row 11). */
    backupId: uuid("backup_id"),
    /** The source it follows, or is being made to; null = it follows nobody. */
    replicaOf: uuid("replica_of").references((): AnyPgColumn => instance.id),
    rootEnabled: boolean("root_enabled").notNull().default(false),
    faultMessage: text("fault_message"),
    faultDetails: text("fault_details"),
    faultAt: instant("fault_at"),
  },
  (table) => [
    index("instance_by_project").on(table.projectId, table.id).where(sql`${table.deletedAt} is null`),
    index("instance_by_configuration").on(table.configurationId, table.id).where(sql`${table.configurationId} is not null`),
    // Lists of administrators, latest change first: all, those that are there, those that are gone, a project's.
    index("instance_by_source").on(table.replicaOf, table.id).where(sql`${table.replicaOf} is not null`),
    index("instance_by_update").on(table.updatedAt, table.id),
    index("instance_present_by_update").on(table.updatedAt, table.id).where(sql`${table.deletedAt} is null`),
    index("instance_gone_by_update").on(table.updatedAt, table.id).where(sql`${table.deletedAt} is not null`),
    index("instance_by_project_and_update").on(table.projectId, table.updatedAt, table.id),
  ],
);

/**
 * Intents and tombstones of external resources. A row is committed before the first call
 * that could create the resource, and kept after its removal: the reconciler removes only
 * what such a row condemns.
 */
export const resource = pgTable(
  "resource",
  {
    instanceId: uuid("instance_id")
      .notNull()
      .references(() => instance.id),
    projectId: text("project_id").notNull(),
    kind: text("kind").$type<ExternalKind>().notNull(),
    name: text("name").primaryKey(),
    externalId: text("external_id"),
    /** Until when a create whose outcome is unknown may still land; null when the outcome is known. */
    callDeadline: instant("call_deadline"),
    removedAt: instant("removed_at"),
  },
  (table) => [index("resource_by_instance").on(table.instanceId)],
);

/** Every time root was enabled, and until when. */
export const rootHistory = pgTable("root_history", {
  id: uuid("id").primaryKey(),
  instanceId: uuid("instance_id")
    .notNull()
    .references(() => instance.id),
  projectId: text("project_id").notNull(),
  userId: text("user_id").notNull(),
  enabledAt: instant("enabled_at").notNull(),
  disabledAt: instant("disabled_at"),
});
