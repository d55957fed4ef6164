import { createHash } from "node:crypto";
import { ExpiringMap } from "#core/identity/lru";
import type { Clock } from "#core/clock";

/** Typing errors that cost nothing. */
const FREE = 5;
const LONGEST_MS = 60_000;
/** After so long without an attempt, all is forgotten. */
const FORGET_MS = 15 * 60_000;
/** Pairs remembered; to push one out takes as many failed logins, each of which costs an scrypt run. */
const CAPACITY = 10_000;

/**
 * Slows guessing: from the fifth failure on, each one locks the pair of user and client
 * address for 1 s, 2 s, 4 s ... 60 s. The address is part of the pair so that a guesser
 * elsewhere cannot lock the user out.
 */
export class Throttle {
  readonly #failures = new ExpiringMap<{ count: number; lockedUntil: number }>(CAPACITY);
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds until the next attempt is allowed; 0 = now. */
  wait(user: string, address: string): number {
    const now = this.#now();
    const entry = this.#failures.get(keyOf(user, address), now);
    return entry ? Math.max(0, entry.value.lockedUntil - now) : 0;
  }

  failed(user: string, address: string) {
    const now = this.#now();
    const key = keyOf(user, address);
    const count = (this.#failures.get(key, now)?.value.count ?? 0) + 1;
    const delay = count < FREE ? 0 : Math.min(LONGEST_MS, 1000 * 2 ** (count - FREE));
    this.#failures.set(key, { count, lockedUntil: now + delay }, now + FORGET_MS);
  }

  succeeded(user: string, address: string) {
    this.#failures.delete(keyOf(user, address));
  }

  #now() {
    return this.#clock.now().getTime();
  }
}

/** Of one size, whatever a client calls itself. */
const keyOf = (user: string, address: string) => createHash("sha256").update(`${user}\n${address}`).digest("base64");
