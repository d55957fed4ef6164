import type { Clock } from "#core/clock";
import type { Server } from "#core/driver/compute";
import { isAlive, type Process } from "#core/driver/local/processes";
import { describe } from "#core/error";
import type { log } from "#core/log";

export type Log = typeof log;

/** An agent that was started or found. `ended` tells how it ended, where that can be known: only our own child tells. */
export interface Agent {
  process: Process;
  ended?: Promise<string>;
}

export interface Charge {
  name: string;
  /** Makes the machine ready and starts its agent. */
  spawn(): Promise<Agent>;
  /** Each second while the agent lives. */
  tick(): Promise<void>;
  /** The last thing the agent said. */
  lastWords(): Promise<string>;
}

const LOOK_MS = 1_000;
/** An agent that lived this long was well; a death after it starts a new count. */
const WELL_MS = 10_000;
const QUICK_DEATHS = 5;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 30_000;

/**
 * Keeps the agent of one server alive until halted: a dead one is started again, after a pause
 * that grows with each quick death. The engine is not touched; the new agent adopts it.
 */
export class Supervisor {
  readonly #charge: Charge;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #halted = new AbortController();
  #seen: Pick<Server, "state" | "fault"> = { state: "BUILD" };
  #deaths = 0;
  #settle: () => void = () => {};
  /** Resolves once the server is ACTIVE or in ERROR, or supervision has ended. */
  readonly settled = new Promise<void>((resolve) => (this.#settle = resolve));
  readonly #running: Promise<void>;

  constructor(charge: Charge, found: Agent | undefined, clock: Clock, log: Log) {
    this.#charge = charge;
    this.#clock = clock;
    this.#log = log;
    this.#running = this.#run(found);
  }

  get seen(): Pick<Server, "state" | "fault"> {
    return this.#seen;
  }

  /** Lets the agent be. Resolves when nothing more will be started. */
  async halt(): Promise<void> {
    this.#halted.abort();
    await this.#running;
  }

  async #run(found: Agent | undefined): Promise<void> {
    for (let agent = found; !this.#halted.signal.aborted; agent = undefined) {
      const started = this.#clock.now().getTime();
      let why: string;
      try {
        agent ??= await this.#charge.spawn();
        if (this.#deaths < QUICK_DEATHS) this.#enter({ state: "ACTIVE" });
        const end = await this.#watch(agent, started);
        if (end === undefined) break;
        why = `${end}; its last words: ${(await this.#charge.lastWords()) || "none"}`;
        if (this.#clock.now().getTime() - started >= WELL_MS) this.#deaths = 0;
      } catch (error) {
        why = `it could not be started: ${describe(error)}`;
      }
      this.#deaths += 1;
      this.#log.warn("agent ended", { server: this.#charge.name, why, deaths: this.#deaths });
      if (this.#deaths >= QUICK_DEATHS) {
        this.#enter({ state: "ERROR", fault: `The agent ended ${this.#deaths} times in quick succession: ${why}` });
      }
      await this.#clock.sleep(Math.min(FIRST_PAUSE_MS * 2 ** (this.#deaths - 1), LONGEST_PAUSE_MS), this.#halted.signal);
    }
    this.#settle();
  }

  #enter(seen: Pick<Server, "state" | "fault">) {
    this.#seen = seen;
    this.#settle();
  }

  /** How the agent ended; undefined when supervision ended first. */
  async #watch(agent: Agent, started: number): Promise<string | undefined> {
    const wake = new AbortController();
    const stir = () => wake.abort();
    const ended = agent.ended?.finally(stir);
    this.#halted.signal.addEventListener("abort", stir, { once: true });
    try {
      for (;;) {
        if (this.#halted.signal.aborted) return undefined;
        if (!isAlive(agent.process)) return (await ended) ?? "it ended unobserved";
        await this.#clock.sleep(LOOK_MS, wake.signal);
        if (this.#clock.now().getTime() - started >= WELL_MS) this.#enter({ state: "ACTIVE" });
        await this.#tick();
      }
    } finally {
      this.#halted.signal.removeEventListener("abort", stir);
    }
  }

  async #tick(): Promise<void> {
    try {
      await this.#charge.tick();
    } catch (error) {
      // Upkeep is tried again in a second; it must not end the supervision.
      this.#log.warn("upkeep of a server failed", { server: this.#charge.name, error: describe(error) });
    }
  }
}
