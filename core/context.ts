import { AsyncLocalStorage } from "node:async_hooks";
import type { Actor } from "#core/actor";
import { systemClock, type Clock } from "#core/clock";
import type { Database, Tx } from "#core/db/index";
import { systemRandom, type Random } from "#core/id";

/**
 * What every call has around it: who asks, which database handle, the clock. Set once per
 * request, message or workflow step by the entry point; looked up outside the callback, so
 * that "absent" and "failed" cannot be confused.
 */
export interface Ambient {
  db: Database;
  actor: Actor;
  clock: Clock;
  random: Random;
  /** OpenStack request id, `req-<uuid>`. */
  requestId?: string;
  operationId?: string;
  instanceId?: string;
  /** By what way a request came: the client's address, and the name it asked. */
  origin?: { clientIp: string | null; serverIp: string | null };
  /** The open transaction, if any. */
  tx?: Tx;
  /** Messages written to the outbox in this context; the entry point sends them after commit. */
  emitted: { id: bigint; body: string }[];
}

const store = new AsyncLocalStorage<Ambient>();

export type Entry = Pick<Ambient, "db" | "actor"> & Partial<Omit<Ambient, "tx" | "emitted">>;

/** Runs `work` inside a fresh context. */
export function enter<T>(entry: Entry, work: () => T): T {
  return store.run({ clock: systemClock, random: systemRandom, emitted: [], ...entry }, work);
}

/** Runs `work` with some members of the present context replaced. */
export function within<T>(change: Partial<Ambient>, work: () => T): T {
  return store.run({ ...ambient(), ...change }, work);
}

export function ambient(): Ambient {
  const found = store.getStore();
  if (!found) throw new Error("no context: wrap the entry point in enter()");
  return found;
}

export const now = () => ambient().clock.now();
export const newId = () => ambient().random.uuid();

/** The acting user; throws for system work, which has no project of its own. */
export function user() {
  const { actor } = ambient();
  if (actor.kind !== "user") throw new Error(`a user was expected, not ${actor.name}`);
  return actor;
}

/** Fields that every log line carries. */
export function fields() {
  const found = store.getStore();
  if (!found) return {};
  const { requestId, operationId, instanceId } = found;
  return {
    ...(requestId && { request: requestId }),
    ...(operationId && { operation: operationId }),
    ...(instanceId && { instance: instanceId }),
  };
}
