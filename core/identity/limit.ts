import { AppError } from "#core/error";

interface LimitOptions {
  /** Jobs that run at once. */
  running: number;
  /** Jobs that may wait; one more is refused at once, so that a flood costs no memory. */
  waiting: number;
  /** What is refused, for the message: "The identity service". */
  name: string;
}

export type Limit = <T>(job: () => Promise<T>) => Promise<T>;

/**
 * Runs jobs in order of arrival, a bounded number at a time. Throws `serviceUnavailable`
 * when the queue is full.
 */
export function limitOf({ running, waiting, name }: LimitOptions): Limit {
  const queue: (() => void)[] = [];
  let active = 0;
  return async (job) => {
    if (active >= running) {
      if (queue.length >= waiting) {
        throw new AppError("serviceUnavailable", `${name} is overloaded.`, { reason: "identity.overloaded", next: "Try again in a few seconds." });
      }
      // The one that ends hands its place over, so `active` stays as it is.
      await new Promise<void>((start) => queue.push(start));
    } else {
      active++;
    }
    try {
      return await job();
    } finally {
      const next = queue.shift();
      if (next) next();
      else active--;
    }
  };
}
