import type { Doorbell } from "#core/guest/client";

/** Requests that wait for a job in this process; a ring lets them look again. */
export class HeldRequests implements Doorbell {
  readonly #waiting = new Map<string, Set<() => void>>();

  async ring(instanceId: string) {
    for (const resolve of this.#waiting.get(instanceId) ?? []) resolve();
  }

  /** Lets everyone go, for an orderly stop. */
  release() {
    for (const instanceId of this.#waiting.keys()) void this.ring(instanceId);
  }

  /**
   * Begins to listen at once, so that a ring between a look at the queue and the wait is not
   * lost; `rung` resolves at a ring, after `ms`, or when the caller has gone.
   */
  listen(instanceId: string, signal: AbortSignal): { rung(ms: number): Promise<void>; close(): void } {
    let open: () => void = () => {};
    const bell = new Promise<void>((resolve) => (open = resolve));
    const set = this.#waiting.get(instanceId) ?? new Set();
    this.#waiting.set(instanceId, set.add(open));
    return {
      rung: (ms) =>
        new Promise((resolve) => {
          const finish = () => {
            clearTimeout(timer);
            signal.removeEventListener("abort", finish);
            resolve();
          };
          const timer = setTimeout(finish, ms);
          signal.addEventListener("abort", finish, { once: true });
          void bell.then(finish);
          if (signal.aborted) finish();
        }),
      close: () => {
        set.delete(open);
        if (set.size === 0 && this.#waiting.get(instanceId) === set) this.#waiting.delete(instanceId);
      },
    };
  }
}
