import type { Clock } from "#core/clock";

/** The promise's outcome, or undefined when `ms` passed first. The work itself goes on. */
export async function bounded<T>(clock: Clock, ms: number, work: Promise<T>): Promise<{ value: T } | undefined> {
  const ended = new AbortController();
  try {
    return await Promise.race([work.then((value) => ({ value })), clock.sleep(ms, ended.signal).then(() => undefined)]);
  } finally {
    ended.abort();
  }
}
