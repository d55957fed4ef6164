import { AppError } from "#core/error";
import type { Report } from "#core/guest/protocol";

interface Transfer {
  jobId: string;
  backupId: string | undefined;
  bytes: number;
  controller: AbortController;
}

export const cancelled = () => new AppError("conflict", "The backup was cancelled.", { reason: "backup.cancelled", final: true });

/** The backups and restores of this agent: what they have moved, and how they are ended. */
export class Transfers {
  readonly #running = new Set<Transfer>();
  readonly #cancelled = new Set<string>();

  /** Runs `work` as the transfer of a job. `moved` is to be told of what it moves, bytes. */
  async run<T>(jobId: string, backupId: string | undefined, work: (signal: AbortSignal, moved: (bytes: number) => void) => Promise<T>): Promise<T> {
    if (backupId !== undefined && this.#cancelled.has(backupId)) throw cancelled();
    const transfer: Transfer = { jobId, backupId, bytes: 0, controller: new AbortController() };
    this.#running.add(transfer);
    try {
      return await work(transfer.controller.signal, (bytes) => (transfer.bytes += bytes));
    } catch (error) {
      // What the abortion made fail is not why it ended.
      transfer.controller.signal.throwIfAborted();
      throw error;
    } finally {
      this.#running.delete(transfer);
    }
  }

  /** The one that runs, or waits to: it ends as failed. */
  cancel(backupId: string): void {
    this.#cancelled.add(backupId);
    for (const transfer of this.#running) if (transfer.backupId === backupId) transfer.controller.abort(cancelled());
  }

  /** Ends the transfer of a job, or all. */
  abort(reason: AppError, jobId?: string): void {
    for (const transfer of this.#running) if (jobId === undefined || transfer.jobId === jobId) transfer.controller.abort(reason);
  }

  /** What a job has moved, bytes; undefined while it moves nothing. */
  bytesOf(jobId: string): number | undefined {
    return [...this.#running].find((one) => one.jobId === jobId)?.bytes;
  }

  get progress(): Report["progress"] {
    const [first] = this.#running;
    return first && { jobId: first.jobId, bytes: first.bytes };
  }
}
