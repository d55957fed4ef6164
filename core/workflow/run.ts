import { eq } from "drizzle-orm";
import type { Clock } from "#core/clock";
import { read } from "#core/db/index";
import { describe } from "#core/error";
import { Crash } from "#core/failpoint";
import { log } from "#core/log";
import { operation } from "#core/operation/operation.sql";
import type { StepInput, StepResult } from "#core/workflow/step";

/** Whoever carries runs through their labels: this runner, or Step Functions. */
export interface Executions {
  /** A run that is carried already is not started twice. */
  start(input: StepInput): Promise<void>;
}

export interface RunnerOptions {
  step(input: StepInput): Promise<StepResult>;
  clock: Clock;
  /** Wraps work of the runner's own in a context. */
  inContext<T>(work: () => Promise<T>): Promise<T>;
}

/** After an error of ours (the database is away), not of the label: seconds until the next try. */
const PAUSE = 1;

/**
 * Carries runs in this process. Everything it knows is in the operation rows: killed at any
 * moment, another one goes on where it was.
 */
export class Runner implements Executions {
  readonly #options: RunnerOptions;
  readonly #runs = new Map<string, { instanceId: string | undefined; wake: AbortController; ended: Promise<void> }>();
  readonly #stopping = new AbortController();

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  start(input: StepInput): Promise<void> {
    const key = `${input.operationId}-${input.run}`;
    const present = this.#runs.get(key);
    if (present) present.wake.abort();
    else if (!this.#stopping.signal.aborted) {
      const entry = { instanceId: undefined, wake: new AbortController(), ended: Promise.resolve() };
      this.#runs.set(key, entry);
      entry.ended = this.#carry(key, input).finally(() => this.#runs.delete(key));
    }
    return Promise.resolve();
  }

  /** Something changed at this instance: whoever waits for it looks now. */
  wake(instanceId: string) {
    for (const entry of this.#runs.values()) if (entry.instanceId === instanceId) entry.wake.abort();
  }

  /** Lets running labels end, starts no further one. */
  async stop() {
    this.#stopping.abort();
    for (const entry of this.#runs.values()) entry.wake.abort();
    await Promise.all([...this.#runs.values()].map((entry) => entry.ended));
  }

  /** Resolves when no run is carried any more. */
  async settled() {
    while (this.#runs.size > 0) await Promise.all([...this.#runs.values()].map((entry) => entry.ended));
  }

  async #carry(key: string, input: StepInput): Promise<void> {
    await this.#identify(key, input);
    while (!this.#stopping.signal.aborted) {
      const entry = this.#runs.get(key);
      if (!entry) return;
      // A wake that comes while the label runs counts for the wait that follows it.
      entry.wake = new AbortController();
      let seconds: number;
      try {
        const result = await this.#options.step(input);
        if (result.next === "end") return;
        seconds = result.next === "go" ? 0 : result.seconds;
      } catch (error) {
        if (error instanceof Crash) return;
        log.error("step could not be run", { operation: input.operationId, error: describe(error) });
        seconds = PAUSE;
      }
      if (seconds > 0) await this.#options.clock.sleep(seconds * 1000, entry.wake.signal);
    }
  }

  async #identify(key: string, { operationId }: StepInput) {
    const entry = this.#runs.get(key);
    if (!entry) return;
    try {
      const [row] = await this.#options.inContext(() =>
        read((tx) => tx.select({ instanceId: operation.instanceId }).from(operation).where(eq(operation.id, operationId))),
      );
      entry.instanceId = row?.instanceId;
    } catch (error) {
      log.warn("run cannot be woken", { operation: operationId, error: describe(error) });
    }
  }
}
