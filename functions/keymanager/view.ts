import type { Secret } from "#functions/keymanager/store";

const stamp = (at: Date) => at.toISOString().replace("Z", "");

/** What is told of a secret; never the payload. */
export const secretView = (root: string, row: Secret) => ({
  status: "ACTIVE",
  name: row.name,
  secret_type: row.secretType,
  algorithm: row.algorithm,
  bit_length: row.bitLength,
  mode: row.mode,
  content_types: { default: row.contentType },
  creator_id: row.creatorId,
  created: stamp(row.createdAt),
  updated: stamp(row.updatedAt),
  expiration: row.expiresAt && stamp(row.expiresAt),
  secret_ref: `${root}/v1/secrets/${row.id}`,
});
