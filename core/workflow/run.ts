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

/** After an error of ours (the database is away), not of the label: seconds until the next try, doubling. */
const PAUSE = 0.5;
const PAUSE_CEILING = 8;
/**
 * A message can arrive before its commit is visible, by moments. An operation that is still unseen
 * after this many looks (half a minute) does not exist; should it appear after all, the sweep finds it.
 */
const LOOKS = 8;

interface Run {
  /** The instances it has to do with; none until the operation was seen. */
  instanceIds: ReadonlySet<string>;
  wake: AbortController;
  /** Resolves with the run if it goes on: the runner stops. */
  ended: Promise<StepInput | undefined>;
}

/**
 * Carries runs in this process. Everything it knows is in the operation rows: killed at any
 * moment, another one goes on where it was.
 */
export class Runner implements Executions {
  readonly #options: RunnerOptions;
  readonly #runs = new Map<string, Run>();
  readonly #stopping = new AbortController();

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  start(input: StepInput): Promise<void> {
    const key = `${input.operationId}-${input.run}`;
    const present = this.#runs.get(key);
    if (present) present.wake.abort();
    else if (!this.#stopping.signal.aborted) {
      const entry: Run = { instanceIds: new Set(), wake: new AbortController(), ended: Promise.resolve(undefined) };
      this.#runs.set(key, entry);
      entry.ended = this.#carry(entry, input).finally(() => this.#runs.delete(key));
    }
    return Promise.resolve();
  }

  /** Something changed at this instance: whoever waits for it looks now. */
  wake(instanceId: string) {
    for (const entry of this.#runs.values()) if (entry.instanceIds.has(instanceId)) entry.wake.abort();
  }

  /** Lets running labels end, starts no further one. Resolves with the runs that another process may carry on. */
  async stop(): Promise<StepInput[]> {
    this.#stopping.abort();
    for (const entry of this.#runs.values()) entry.wake.abort();
    const left = await Promise.all([...this.#runs.values()].map((entry) => entry.ended));
    return left.flatMap((run) => run ?? []);
  }

  /** Resolves when no run is carried any more. */
  async settled() {
    while (this.#runs.size > 0) await Promise.all([...this.#runs.values()].map((entry) => entry.ended));
  }

  async #carry(entry: Run, input: StepInput): Promise<StepInput | undefined> {
    let seen = false;
    let [looks, failures] = [0, 0];
    while (!this.#stopping.signal.aborted) {
      // A wake that comes while the label runs counts for the wait that follows it.
      entry.wake = new AbortController();
      let seconds: number;
      try {
        seen ||= await this.#look(entry, input);
        if (seen) {
          const result = await this.#options.step(input);
          if (result.next === "end") return undefined;
          seconds = result.next === "go" ? 0 : result.seconds;
          // Busy is also the answer where the row has gone: a state database that was restored.
          seen = result.next !== "busy";
          looks = 0;
        } else {
          if (++looks >= LOOKS) {
            log.warn("run dropped: no such operation", { operation: input.operationId, run: input.run });
            return undefined;
          }
          seconds = backoff(looks);
        }
        failures = 0;
      } catch (error) {
        if (error instanceof Crash) return undefined;
        log.error("step could not be run", { operation: input.operationId, error: describe(error) });
        seconds = backoff(++failures);
      }
      if (seconds > 0) await this.#options.clock.sleep(seconds * 1000, entry.wake.signal);
    }
    return input;
  }

  /** Whether the operation can be seen; learns on the way whose wakes concern the run. */
  async #look(entry: Run, { operationId }: StepInput): Promise<boolean> {
    const [row] = await this.#options.inContext(() =>
      read((tx) => tx.select({ instanceId: operation.instanceId, input: operation.input }).from(operation).where(eq(operation.id, operationId))),
    );
    if (row) entry.instanceIds = new Set([row.instanceId, ...(row.input.sourceId === undefined ? [] : [row.input.sourceId]), ...(row.input.memberIds ?? [])]);
    return row !== undefined;
  }
}

/** Seconds before the next try after the n-th failure. */
const backoff = (failures: number) => Math.min(PAUSE * 2 ** (failures - 1), PAUSE_CEILING);
