import type { Clock } from "#core/clock";
import { AppError, describe } from "#core/error";
import { bounded } from "#core/guest/agent/bounded";
import { explain, perform, type Host } from "#core/guest/agent/job";
import type { Journal, Lane, OpenJob } from "#core/guest/agent/journal";
import type { JobResult } from "#core/guest/protocol";
import { log } from "#core/log";

/** A job that has ended the agent this often (out of memory, say) is not begun again. */
const attemptCeiling = 5;
/**
 * Longer than any engine call may take; the control plane has given up before. What hangs is
 * left behind, and the jobs after it get their turn. A transfer has as much time again as long as it moves anything.
 */
const deadlineMs = 15 * 60_000;

/** Does the journal's jobs one after the other, backups beside them. */
export class Runner {
  readonly #journal: Journal;
  readonly #host: Host;
  readonly #clock: Clock;
  readonly #afterJob: () => Promise<void>;
  readonly #changed: () => void;
  readonly #running = new Map<Lane, Promise<void>>();
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
    return this.#running.size > 0;
  }

  /** Begins with the jobs that wait, if it is not at it. */
  kick(): void {
    for (const lane of ["main", "backup"] as const) {
      if (this.#running.has(lane) || this.#stopping || !this.#journal.next(lane)) continue;
      this.#running.set(lane, this.#drain(lane));
    }
  }

  /** Begins no further job. */
  close(): void {
    this.#stopping = true;
  }

  /** Begins no further job. Waits up to `ms` for the present one, which otherwise is done again by the next agent. */
  async stop(ms: number): Promise<void> {
    this.close();
    await bounded(this.#clock, ms, Promise.all(this.#running.values()));
  }

  async #drain(lane: Lane): Promise<void> {
    for (let job = this.#journal.next(lane); job && !this.#stopping; job = this.#journal.next(lane)) await this.#one(job);
    this.#running.delete(lane);
    // A backup may have waited for these.
    this.kick();
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

  /** Undefined when it took too long. */
  async #within<T>(id: string, work: Promise<T>): Promise<{ value: T } | undefined> {
    const { transfers } = this.#host;
    for (let before: number | undefined; ; ) {
      const done = await bounded(this.#clock, deadlineMs, work);
      const moved = transfers.bytesOf(id);
      if (done || moved === undefined || moved === before) {
        if (!done) transfers.abort(new AppError("serviceUnavailable", "Nothing was moved for 15 minutes", { reason: "transfer.stalled" }), id);
        return done;
      }
      before = moved;
    }
  }

  async #result({ id, kind, spec, attempts }: OpenJob): Promise<JobResult> {
    try {
      if (attempts >= attemptCeiling) throw new AppError("instanceFault", `The agent ended ${attempts} times in the middle of this job`, { reason: "job.attempts" });
      await this.#journal.start(id);
      const work = perform(this.#host, kind, spec, id);
      const done = await this.#within(id, work);
      if (done) return { id, ok: true, ...(done.value && { result: done.value }) };
      throw new AppError("serviceUnavailable", "The job took longer than 15 minutes", { reason: "job.deadline" });
    } catch (error) {
      return { id, ok: false, error: explain(error, spec) };
    }
  }
}
