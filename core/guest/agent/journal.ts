import * as z from "zod";
import { JsonFile } from "#core/guest/agent/file";
import { JobResult } from "#core/guest/protocol";

const Open = z.object({
  id: z.uuid(),
  state: z.enum(["received", "started"]),
  kind: z.string(),
  spec: z.record(z.string(), z.unknown()),
  /** How often it was started. */
  attempts: z.number().int(),
});
/** Without kind and spec: what a job carried is wiped when it ends. */
const Finished = z.object({ id: z.uuid(), state: z.literal("finished"), result: JobResult });
const Stored = z.object({ generation: z.number().int(), jobs: z.array(z.union([Open, Finished])) });
type Stored = z.infer<typeof Stored>;

/** A job that is still to be done. */
export type OpenJob = z.infer<typeof Open>;

/** Jobs are done one after the other, but a backup beside the others. */
export type Lane = "main" | "backup";

/**
 * The jobs this agent knows, in the order the server gave them: received, started, finished,
 * and forgotten once the server has acknowledged the result. Each step is on disk when its
 * promise resolves.
 */
export class Journal {
  readonly #file: JsonFile<Stored>;

  private constructor(file: JsonFile<Stored>) {
    this.#file = file;
  }

  /** Jobs of another generation are not for this agent and are dropped. */
  static async open(path: string, generation: number): Promise<Journal> {
    const file = await JsonFile.open(path, Stored, { generation, jobs: [] });
    if (file.value.generation !== generation) await file.update({ generation, jobs: [] });
    return new Journal(file);
  }

  /** Adds the jobs it does not know yet; true when there were any. */
  async receive(jobs: readonly { id: string; kind: string; spec: Record<string, unknown> }[]): Promise<boolean> {
    const known = new Set(this.#jobs.map((job) => job.id));
    const fresh = jobs.filter((job) => !known.has(job.id));
    if (fresh.length === 0) return false;
    await this.#save([...this.#jobs, ...fresh.map(({ id, kind, spec }) => ({ id, kind, spec, state: "received" as const, attempts: 0 }))]);
    return true;
  }

  /** The oldest job that is not finished: backups apart, which begin when all before them have ended, and which nobody waits for. */
  next(lane: Lane): OpenJob | undefined {
    const open = this.#jobs.filter((job) => job.state !== "finished");
    if (lane === "main") return open.find(({ kind }) => kind !== "backup");
    return open[0]?.kind === "backup" ? open[0] : undefined;
  }

  async start(id: string): Promise<void> {
    await this.#save(this.#jobs.map((job) => (job.id === id && job.state !== "finished" ? { ...job, state: "started", attempts: job.attempts + 1 } : job)));
  }

  async finish(result: JobResult): Promise<void> {
    await this.#save(this.#jobs.map((job) => (job.id === result.id ? { id: job.id, state: "finished", result } : job)));
  }

  /** Results that the server has not acknowledged, oldest first; at most as many as a request may carry. */
  results(): JobResult[] {
    return this.#jobs.flatMap((job) => (job.state === "finished" ? [job.result] : [])).slice(0, 100);
  }

  async acknowledge(ids: readonly string[]): Promise<void> {
    const kept = this.#jobs.filter((job) => job.state !== "finished" || !ids.includes(job.id));
    if (kept.length < this.#jobs.length) await this.#save(kept);
  }

  get #jobs(): Stored["jobs"] {
    return this.#file.value.jobs;
  }

  #save(jobs: Stored["jobs"]): Promise<void> {
    return this.#file.update({ ...this.#file.value, jobs });
  }
}
