import type { Random } from "#core/id";

/** Waits that double up to a ceiling; half of each is random, so that many agents do not knock in step. */
export class Backoff {
  readonly #firstMs: number;
  readonly #ceilingMs: number;
  readonly #random: Random;
  #attempts = 0;

  constructor(firstMs: number, ceilingMs: number, random: Random) {
    this.#firstMs = firstMs;
    this.#ceilingMs = ceilingMs;
    this.#random = random;
  }

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    const full = Math.min(this.#firstMs * 2 ** this.#attempts, this.#ceilingMs);
    this.#attempts = Math.min(this.#attempts + 1, 30);
    return full / 2 + (full / 2) * this.#random.number();
  }

  reset(): void {
    this.#attempts = 0;
  }
}
