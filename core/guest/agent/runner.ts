import type { Clock } from "#core/clock";
import { AppError, describe } from "#core/error";
import { bounded } from "#core/guest/agent/bounded";
import { explain, perform, type Host } from "#core/guest/agent/job";
import type { Journal, OpenJob } from "#core/guest/agent/journal";
import type { JobResult } from "#core/guest/protocol";
import { log } from "#core/log";

/** A job that has ended the agent this often (out of memory, say) is not begun again. */
const attemptCeiling = 5;
/**
 * Longer than any engine call may take; the control plane has given up before. What hangs is
 * left behind, and the jobs after it get their turn.
 */
const deadlineMs = 15 * 60_000;

/** Does the journal's jobs one after the other. */
export class Runner {
  readonly #journal: Journal;
  readonly #host: Host;
  readonly #clock: Clock;
  readonly #afterJob: () => Promise<void>;
  readonly #changed: () => void;
  #running: Promise<void> | undefined;
  #stopping = false;

  /** `afterJob` looks at what the job changed, so that its result never travels ahead of that; `changed` says there is a result. */
  constructor(journal: Journal, host: Host, clock: Clock, afterJob: () => Promise<void>, changed: () => void) {
    this.#journal = journal;
    this.#host = host;
    this.#clock = clock;
    this.#afterJob = afterJob;
    this.#changed = changed;
  }

  get busy(): boolean {
    return this.#running !== undefined;
  }

  /** Begins with the jobs that wait, if it is not at it. */
  kick(): void {
    if (this.#running || this.#stopping || !this.#journal.next()) return;
    this.#running = this.#drain();
  }

  /** Begins no further job. Waits up to `ms` for the present one, which otherwise is done again by the next agent. */
  async stop(ms: number): Promise<void> {
    this.#stopping = true;
    if (this.#running) await bounded(this.#clock, ms, this.#running);
  }

  async #drain(): Promise<void> {
    for (let job = this.#journal.next(); job && !this.#stopping; job = this.#journal.next()) await this.#one(job);
    this.#running = undefined;
  }

  async #one(job: OpenJob): Promise<void> {
    const began = this.#clock.now().getTime();
    const result = await this.#result(job);
    // Stopping takes the server away under the job; the next agent does it properly.
    if (this.#stopping && !result.ok) return;
    const ms = this.#clock.now().getTime() - began;
    if (result.ok) log.info("job done", { job: job.id, kind: job.kind, ms });
    else log.warn("job failed", { job: job.id, kind: job.kind, ms, error: result.error });
    await this.#afterJob();
    await this.#journal.finish(result).catch((error: unknown) => {
      // Memory has it, and it is reported from there. Should the agent end before, the job is done again.
      log.error("a result could not be written down", { job: job.id, error: describe(error) });
    });
    this.#changed();
  }

  async #result({ id, kind, spec, attempts }: OpenJob): Promise<JobResult> {
    try {
      if (attempts >= attemptCeiling) throw new AppError("instanceFault", `The agent ended ${attempts} times in the middle of this job`, { reason: "job.attempts" });
      await this.#journal.start(id);
      const work = perform(this.#host, kind, spec, id);
      const done = await bounded(this.#clock, deadlineMs, work);
      if (done) return { id, ok: true, ...(done.value && { result: done.value }) };
      throw new AppError("serviceUnavailable", "The job took longer than 15 minutes", { reason: "job.deadline" });
    } catch (error) {
      return { id, ok: false, error: explain(error, spec) };
    }
  }
}
