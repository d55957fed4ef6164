import { createHmac, randomUUID } from "node:crypto";

export interface Random {
  uuid(): string;
  /** Uniform in [0, 1). */
  number(): number;
}

export const systemRandom: Random = { uuid: () => randomUUID(), number: () => Math.random() };

export type ExternalKind = "server" | "volume" | "port";

/**
 * Names of external resources are computed from our ids and carry the installation,
 * so that a crash between a cloud call and our commit leaks nothing and two
 * installations in one cloud never meet.
 */
export const external = (installation: string, kind: ExternalKind, id: string) => `coffer-${installation}-${kind}-${id}`;

/**
 * The enrolment token of a guest: derived, so that a label that runs twice hands the
 * server of the first run the token that the second run expects. 256 bit, hex.
 */
export const enrolmentToken = (rootKey: Buffer, instanceId: string, generation: number) =>
  createHmac("sha256", rootKey).update(`enrol:${instanceId}:${generation}`).digest("hex");

/** The password of a replica's role at its source: derived for the same reason, and stored nowhere. 256 bit, hex. */
export const replicaPassword = (rootKey: Buffer, instanceId: string, generation: number) =>
  createHmac("sha256", rootKey).update(`replica:${instanceId}:${generation}`).digest("hex");

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
export const isUuid = (value: string) => uuidPattern.test(value);
