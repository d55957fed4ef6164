import type { Clock } from "#core/clock";
import type { Engine, Usage, Writes } from "#core/engine/engine";
import { describe } from "#core/error";
import { bounded } from "#core/guest/agent/bounded";
import type { Supervisor } from "#core/guest/agent/supervisor";
import { log } from "#core/log";

const MB = 1024 ** 2;

/** No volume is believed to fill faster than this, bytes a second: it says how soon to look again. */
const fastest = 512 * MB;
const soonestMs = 100;
const latestMs = 10_000;
/** A volume that was resized or cleared shall not wait longer for its server to be told. */
const latestLimitedMs = 1_000;
/** Who writes in spite of all is cut off this often, and at once when this much is gone since the last time, bytes. */
const againMs = 1_000;
const againBytes = MB;
/** An answer that comes later than this is not waited for. */
const answerMs = 20_000;

/** What must stay free: a twentieth, but no less than a few WAL segments, and no more than is of use. Bytes. */
export const reserve = (totalBytes: number) => Math.min(Math.max(totalBytes / 20, 64 * MB), 4096 * MB);

/** How far tenants may write with this much free, given how far they may now. The way back needs more room than the way in. */
export function judge({ freeBytes, totalBytes }: Usage, now: Writes): Writes {
  const least = reserve(totalBytes);
  if (freeBytes < (now === "closed" ? least * 0.75 : least / 2)) return "closed";
  return freeBytes < (now === "open" ? least : least * 2) ? "guarded" : "open";
}

/** When to look again, ms: before the volume can have come from here to the next threshold. */
export function pause({ freeBytes, totalBytes }: Usage, now: Writes): number {
  const next = { open: reserve(totalBytes), guarded: reserve(totalBytes) / 2, closed: 0 }[now];
  const ms = ((freeBytes - next) / fastest) * 1000;
  return Math.min(Math.max(ms, soonestMs), now === "open" ? latestMs : latestLimitedMs);
}

/** Measures the volume and keeps the engine from filling it to the last byte. */
export class Guard {
  readonly #engine: Engine;
  readonly #supervisor: Supervisor;
  readonly #clock: Clock;
  readonly #changed: () => void;
  #usage: Usage | undefined;
  #writes: Writes = "open";
  /** When the engine was last told, and what was free then; undefined before the first time, as an earlier agent may have said anything. */
  #told: { at: number; freeBytes: number } | undefined;

  /** `changed` is called when tenants may write further, or less far, than before. */
  constructor(engine: Engine, supervisor: Supervisor, clock: Clock, changed: () => void) {
    this.#engine = engine;
    this.#supervisor = supervisor;
    this.#clock = clock;
    this.#changed = changed;
  }

  /** As last measured; undefined before. */
  get usage(): Usage | undefined {
    return this.#usage;
  }

  /** How far tenants may write: what the engine has confirmed. */
  get writes(): Writes {
    return this.#writes;
  }

  /** Ends with the signal. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) await this.#clock.sleep(await this.look(), signal);
  }

  /** Measures, acts, and returns when to look again, ms. There is nothing to look at before the volume is set up. */
  async look(): Promise<number> {
    if (["building", "failed"].includes(this.#supervisor.status)) return latestLimitedMs;
    try {
      const answer = await bounded(this.#clock, answerMs, this.#engine.usage());
      if (!answer) throw new Error("measuring the volume takes too long");
      this.#usage = answer.value;
      await this.#limit(answer.value);
      return pause(answer.value, this.#writes);
    } catch (error) {
      log.warn("the volume could not be guarded", { error: describe(error) });
      return latestLimitedMs;
    }
  }

  async #limit(usage: Usage): Promise<void> {
    const wanted = judge(usage, this.#writes);
    if (wanted === this.#writes && this.#told && !this.#again(usage)) return;
    if (!(await bounded(this.#clock, answerMs, this.#engine.limitWrites(wanted)))) throw new Error("the engine does not take up the limit of writes");
    this.#told = { at: this.#clock.now().getTime(), freeBytes: usage.freeBytes };
    if (wanted === this.#writes) return;
    log.warn("the limit of writes changed", { from: this.#writes, to: wanted, freeBytes: usage.freeBytes, totalBytes: usage.totalBytes });
    this.#writes = wanted;
    this.#changed();
  }

  #again({ freeBytes }: Usage): boolean {
    if (this.#writes !== "closed" || !this.#told) return false;
    return this.#clock.now().getTime() - this.#told.at >= againMs || this.#told.freeBytes - freeBytes >= againBytes;
  }
}
