import type { Clock } from "#core/clock";

export interface MovableClock extends Clock {
  /** Moves the clock and lets those sleep no longer whose time has come. */
  advance(ms: number): void;
  /** How many wait on it. */
  sleepers(): number;
}

/** A clock that stands still until it is moved. */
export function movableClock(start = new Date("2026-01-01T00:00:00Z")): MovableClock {
  let at = start.getTime();
  const sleepers = new Set<{ until: number; wake: () => void }>();
  return {
    now: () => new Date(at),
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted || ms <= 0) return resolve();
        const sleeper = {
          until: at + ms,
          wake: () => {
            sleepers.delete(sleeper);
            signal?.removeEventListener("abort", sleeper.wake);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", sleeper.wake, { once: true });
      }),
    sleepers: () => sleepers.size,
    advance(ms) {
      at += ms;
      for (const sleeper of sleepers) if (sleeper.until <= at) sleeper.wake();
    },
  };
}

/** Numbers in [0, 1) and uuids from a seed (mulberry32), so that a failure can be replayed. */
export function seededRandom(seed: number) {
  let state = seed >>> 0;
  const number = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const hex = (digits: number) => Array.from({ length: digits }, () => Math.floor(number() * 16).toString(16)).join("");
  return { number, uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}` };
}
