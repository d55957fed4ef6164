import { index, integer, pgTable, primaryKey, text, uuid } from "drizzle-orm/pg-core";
import { base, bytea, instant } from "#core/db/columns";

/** A secret of the embedded key manager; the payload is sealed with the home's key. */
export const secret = pgTable(
  "secret",
  {
    ...base,
    projectId: text("project_id").notNull(),
    creatorId: text("creator_id").notNull(),
    name: text("name"),
    secretType: text("secret_type").notNull(),
    algorithm: text("algorithm"),
    bitLength: integer("bit_length"),
    mode: text("mode"),
    contentType: text("content_type").notNull(),
    sealed: bytea("sealed").notNull(),
    expiresAt: instant("expires_at"),
  },
  (table) => [index("secret_by_project").on(table.projectId, table.createdAt, table.id)],
);

/** What uses a secret, as it said itself. */
export const secretConsumer = pgTable(
  "secret_consumer",
  {
    secretId: uuid("secret_id")
      .notNull()
      .references(() => secret.id, { onDelete: "cascade" }),
    projectId: text("project_id").notNull(),
    service: text("service").notNull(),
    resourceType: text("resource_type").notNull(),
    resourceId: text("resource_id").notNull(),
  },
  (table) => [primaryKey({ columns: [table.secretId, table.service, table.resourceType, table.resourceId] })],
);
