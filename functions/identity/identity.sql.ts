import { boolean, foreignKey, index, integer, pgSchema, primaryKey, text, unique } from "drizzle-orm/pg-core";
import { instant } from "#core/db/columns";

/** Apart from the tenant tables: only `coffer_system` may look in here. Ids are 32 hex digits, as Keystone's. */
export const identity = pgSchema("identity");

export const domain = identity.table("domain", {
  id: text("id").primaryKey(),
  name: text("name").notNull().unique(),
  enabled: boolean("enabled").notNull().default(true),
});

export const project = identity.table(
  "project",
  {
    id: text("id").primaryKey(),
    domainId: text("domain_id").notNull().references(() => domain.id),
    name: text("name").notNull(),
    description: text("description").notNull().default(""),
    enabled: boolean("enabled").notNull().default(true),
  },
  (table) => [unique().on(table.domainId, table.name)],
);

export const account = identity.table(
  "user",
  {
    id: text("id").primaryKey(),
    domainId: text("domain_id").notNull().references(() => domain.id),
    name: text("name").notNull(),
    /** As `password.ts` writes it; says its own algorithm and cost. */
    passwordHash: text("password_hash").notNull(),
    /** Raised by each change of the password; tokens name the one they were issued under. */
    passwordVersion: integer("password_version").notNull().default(1),
    enabled: boolean("enabled").notNull().default(true),
  },
  (table) => [unique().on(table.domainId, table.name)],
);

export const role = identity.table("role", {
  id: text("id").primaryKey(),
  name: text("name").notNull().unique(),
});

export const assignment = identity.table(
  "assignment",
  {
    userId: text("user_id").notNull(),
    projectId: text("project_id").notNull(),
    roleId: text("role_id").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.projectId, table.roleId] }),
    index("assignment_project").on(table.projectId),
    foreignKey({ columns: [table.userId], foreignColumns: [account.id] }).onDelete("cascade"),
    foreignKey({ columns: [table.projectId], foreignColumns: [project.id] }).onDelete("cascade"),
    foreignKey({ columns: [table.roleId], foreignColumns: [role.id] }).onDelete("cascade"),
  ],
);

export const service = identity.table("service", {
  id: text("id").primaryKey(),
  type: text("type").notNull().unique(),
  name: text("name").notNull(),
});

/** Tokens given back before their end; a row is of no use after that. */
export const revoked = identity.table(
  "revoked",
  {
    auditId: text("audit_id").primaryKey(),
    expiresAt: instant("expires_at").notNull(),
  },
  (table) => [index("revoked_expires_at").on(table.expiresAt)],
);
