import { and, asc, count, eq } from "drizzle-orm";
import { hkdfSync } from "node:crypto";
import { newId, now, user } from "#core/context";
import { read, transaction } from "#core/db/index";
import { notFound } from "#core/error";
import { isUuid } from "#core/id";
import { createSeal, type Seal } from "#core/seal";
import type { Consumer } from "#core/secret/store";
import { secret, secretConsumer } from "#functions/keymanager/secret.sql";

export type Secret = typeof secret.$inferSelect;

export type NewSecret = Pick<Secret, "name" | "secretType" | "algorithm" | "bitLength" | "mode" | "contentType" | "expiresAt">;

/** Seals payloads at rest, bound to the secret and its project. */
export class Vault {
  readonly #seal: Seal;

  constructor(rootKey: Buffer) {
    this.#seal = createSeal(Buffer.from(hkdfSync("sha256", rootKey, "", "coffer key manager", 32)));
  }

  seal({ id, projectId }: Pick<Secret, "id" | "projectId">, payload: Buffer): Buffer {
    return this.#seal.close(payload, `${id}\n${projectId}`);
  }

  open({ id, projectId, sealed }: Pick<Secret, "id" | "projectId" | "sealed">): Buffer {
    return this.#seal.open(sealed, `${id}\n${projectId}`);
  }
}

/** Administrators too see the secrets of the project they act for, and no others. */
const mine = () => eq(secret.projectId, user().projectId);

export async function create(vault: Vault, wish: NewSecret, payload: Buffer): Promise<Secret> {
  const { projectId, userId } = user();
  const id = newId();
  const values = { ...wish, id, projectId, creatorId: userId, createdAt: now(), updatedAt: now(), sealed: vault.seal({ id, projectId }, payload) };
  const [row] = await transaction((tx) => tx.insert(secret).values(values).returning());
  if (!row) throw new Error("the secret was not stored");
  return row;
}

/** 404 for one of another project, and for one that has expired. */
export async function get(id: string): Promise<Secret> {
  const [row] = isUuid(id) ? await read((tx) => tx.select().from(secret).where(and(eq(secret.id, id.toLowerCase()), mine()))) : [];
  if (!row || (row.expiresAt && row.expiresAt <= now())) throw notFound("Secret not found.");
  return row;
}

/** Oldest first. */
export async function list({ limit, offset, name }: { limit: number; offset: number; name?: string }): Promise<{ rows: Secret[]; total: number }> {
  const where = and(mine(), name === undefined ? undefined : eq(secret.name, name));
  const [rows, [counted]] = await read((tx) =>
    Promise.all([tx.select().from(secret).where(where).orderBy(asc(secret.createdAt), asc(secret.id)).limit(limit).offset(offset), tx.select({ total: count() }).from(secret).where(where)]),
  );
  return { rows, total: counted?.total ?? 0 };
}

export async function remove(id: string): Promise<void> {
  const row = await get(id);
  await transaction((tx) => tx.delete(secret).where(and(eq(secret.id, row.id), mine())));
}

export async function consumersOf(secretId: string): Promise<Consumer[]> {
  const rows = await read((tx) => tx.select().from(secretConsumer).where(eq(secretConsumer.secretId, secretId)).orderBy(asc(secretConsumer.resourceId)));
  return rows.map(({ service, resourceType, resourceId }) => ({ service, resource_type: resourceType, resource_id: resourceId }));
}

/** Said twice is said once. */
export async function addConsumer({ id, projectId }: Secret, one: Consumer): Promise<void> {
  const row = { secretId: id, projectId, service: one.service, resourceType: one.resource_type, resourceId: one.resource_id };
  await transaction((tx) => tx.insert(secretConsumer).values(row).onConflictDoNothing());
}

/** 404 for one that was not there. */
export async function removeConsumer({ id }: Secret, one: Consumer): Promise<void> {
  const gone = await transaction((tx) =>
    tx
      .delete(secretConsumer)
      .where(and(eq(secretConsumer.secretId, id), eq(secretConsumer.service, one.service), eq(secretConsumer.resourceType, one.resource_type), eq(secretConsumer.resourceId, one.resource_id)))
      .returning({ id: secretConsumer.secretId }),
  );
  if (gone.length === 0) throw notFound("Consumer not found.");
}
