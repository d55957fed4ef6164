import { AppError } from "#core/error";
import type { Call } from "#core/driver/resource";

/** What a driver throws when its caller's time is up; whether the effect happened is unknown then. */
export const timedOut = (verb: string, cause?: unknown) =>
  new AppError("serviceUnavailable", `The cloud did not finish ${verb} in time.`, { reason: "driver.timeout", cause });

/** Before each effect: throws AppError `driver.timeout` once the call's signal has fired. */
export function check(call: Call, verb: string): void {
  if (call.signal.aborted) throw timedOut(verb, call.signal.reason);
}

/** The outcome of `work`, unless the caller's time ends first; `work` goes on then, and may still succeed. */
export function within<T>(call: Call, verb: string, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(timedOut(verb, call.signal.reason));
    if (call.signal.aborted) return giveUp();
    call.signal.addEventListener("abort", giveUp, { once: true });
    const done = () => call.signal.removeEventListener("abort", giveUp);
    work().finally(done).then(resolve, reject);
  });
}
