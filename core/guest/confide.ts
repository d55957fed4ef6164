import { replicaBound } from "#core/guest/protocol";
import { scramVerifier } from "#core/guest/scram";
import { seal } from "#core/guest/seal";
import { replicaPassword } from "#core/id";

/* The password of a replica's role at its source: derived from the root key, and stored nowhere. */

interface Replica {
  id: string;
  generation: number;
}

/** What its source is told of it: a SCRAM-SHA-256 verifier. */
export const followerVerifier = (rootKey: Buffer, { id, generation }: Replica): Promise<string> => scramVerifier(replicaPassword(rootKey, id, generation));

/** What the replica is told, sealed for its agent's key, and for that source alone. */
export const followerPassword = (rootKey: Buffer, sealingKey: string, sourceId: string, { id, generation }: Replica): string =>
  seal(sealingKey, replicaBound("password", sourceId, id, generation), replicaPassword(rootKey, id, generation));
