/** The only source of now(): tests move it, so a deadline can be reached without waiting. */
export interface Clock {
  now(): Date;
  /** Resolves after `ms`, or at once when the signal aborts. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => new Date(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const finish = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", finish);
        resolve();
      };
      const timer = setTimeout(finish, ms);
      signal?.addEventListener("abort", finish, { once: true });
    }),
};

/** Aborts `ms` from now on that clock. */
export function deadline(clock: Clock, ms: number): AbortSignal {
  // The platform's own keeps no process alive and needs no clearing.
  if (clock === systemClock) return AbortSignal.timeout(ms);
  const controller = new AbortController();
  void clock.sleep(ms).then(() => controller.abort(new DOMException("The time is up.", "TimeoutError")));
  return controller.signal;
}
