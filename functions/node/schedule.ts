import { describe } from "#core/error";
import { log } from "#core/log";

export interface Schedule {
  /** Runs the work now, unless it runs already. */
  now: () => Promise<void>;
  stop: () => Promise<void>;
}

/** What EventBridge does in the cloud: the same handler, every `seconds`, never two at once. */
export function every(seconds: number, name: string, work: () => Promise<void>): Schedule {
  let running: Promise<void> | undefined;
  const now = () => {
    running ??= work()
      .catch((error: unknown) => log.error("scheduled work failed", { name, error: describe(error) }))
      .finally(() => (running = undefined));
    return running;
  };
  const timer = setInterval(() => void now(), seconds * 1000);
  timer.unref();
  return {
    now,
    async stop() {
      clearInterval(timer);
      await running;
    },
  };
}
