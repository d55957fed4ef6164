import type { Clock } from "#core/clock";
import { check, timedOut } from "#core/driver/call";
import type { Call } from "#core/driver/resource";
import { AppError } from "#core/error";
import type { Random } from "#core/id";

type Common = "create" | "get" | "find" | "list" | "remove";
export type Verb = `${"server" | "volume" | "port"}.${Common}` | "server.resize" | "server.reboot" | "server.stop" | "server.rebuild" | "server.migrate" | "server.boot" | "volume.resize" | "port.setIngress";

export interface Fault {
  on: Verb;
  /**
   * before: fails without effect. after: has its effect, then fails. throttle: refused (429).
   * late: the caller's time runs out, the effect comes `ms` after the call. slow: `ms` longer.
   * stale (find, list): what was true `ms` ago. Any kind on `server.boot`: the server ends in ERROR.
   */
  kind: "before" | "after" | "throttle" | "late" | "slow" | "stale";
  /** For late, slow and stale. */
  ms?: number;
  /** How often; 1 if absent. */
  times?: number;
  /** Of each call that could have it; 1 if absent. */
  probability?: number;
}

export interface Weather {
  random: Random;
  clock: Clock;
  /** Mean time of a call; each takes between half and one and a half of it. 0 if absent. */
  latencyMs?: number;
}

const broken = (verb: Verb) => new AppError("serviceUnavailable", `The cloud failed at ${verb}.`, { reason: "driver.failed" });

/** Between the caller and the fake's state: time passes, and what was injected happens. */
export class Faults {
  readonly #weather: Weather;
  #pending: { fault: Fault; left: number }[] = [];

  constructor(weather: Weather) {
    this.#weather = weather;
  }

  inject(fault: Fault): void {
    this.#pending.push({ fault, left: fault.times ?? 1 });
  }

  /** The first fault that applies now, used up by one. */
  draw(verb: Verb): Fault | undefined {
    const found = this.#pending.find(({ fault }) => fault.on === verb && this.#weather.random.number() < (fault.probability ?? 1));
    if (!found) return undefined;
    found.left -= 1;
    if (found.left <= 0) this.#pending = this.#pending.filter((one) => one !== found);
    return found.fault;
  }

  /** One call: `effect` is done at one instant, at which `staleMs` says how old the answer has to be. */
  async pass<T>(verb: Verb, call: Call, effect: (staleMs: number) => T): Promise<T> {
    const { random, latencyMs = 0 } = this.#weather;
    const fault = this.draw(verb);
    const latency = latencyMs * (0.5 + random.number()) + (fault?.kind === "slow" ? (fault.ms ?? 0) : 0);
    await this.#wait(latency / 2, call);
    check(call, verb);
    if (fault?.kind === "before") throw broken(verb);
    if (fault?.kind === "throttle") {
      throw new AppError("serviceUnavailable", `The cloud refused ${verb}: too many requests.`, { reason: "driver.throttled" });
    }
    if (fault?.kind === "late") return this.#late(verb, fault, call, effect);
    const result = effect(fault?.kind === "stale" ? (fault.ms ?? 0) : 0);
    await this.#wait(latency / 2, call);
    // The effect is there, and its caller does not know.
    check(call, verb);
    if (fault?.kind === "after") throw broken(verb);
    return result;
  }

  async #wait(ms: number, call: Call): Promise<void> {
    if (ms > 0) await this.#weather.clock.sleep(ms, call.signal);
  }

  #late<T>(verb: Verb, fault: Fault, call: Call, effect: (staleMs: number) => T): Promise<T> {
    this.#weather.clock
      .sleep(fault.ms ?? 0)
      .then(() => effect(0))
      .catch(() => {
        // Refused in the end; the caller that would hear of it has gone.
      });
    return new Promise((_, reject) => {
      const give = () => reject(timedOut(verb, call.signal.reason));
      if (call.signal.aborted) give();
      else call.signal.addEventListener("abort", give, { once: true });
    });
  }
}
