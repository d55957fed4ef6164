import * as z from "zod";
import type { Clock } from "#core/clock";
import { JsonFile } from "#core/guest/agent/file";

/** Numbers set aside per write: ten minutes of microseconds. */
const block = 600_000_000;
/** A clock beyond this (the year 2112) is wrong, and would use up what a double counts exactly. */
const clockCeiling = 2 ** 52;

/**
 * Request numbers: strictly rising, also across restarts and with a clock that goes back. The
 * clock only makes them start high enough should the file ever be lost.
 */
export class Sequence {
  readonly #file: JsonFile<{ reserved: number }>;
  readonly #clock: Clock;
  #last: number;
  /** What is surely on disk. */
  #reserved: number;

  private constructor(file: JsonFile<{ reserved: number }>, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
    // An earlier process may have used all that it had set aside.
    this.#last = this.#reserved = file.value.reserved;
  }

  static async open(path: string, clock: Clock): Promise<Sequence> {
    return new Sequence(await JsonFile.open(path, z.object({ reserved: z.number().int().nonnegative() }), { reserved: 0 }), clock);
  }

  /** Rejects when the disk refuses to set numbers aside; the number is then not used. */
  async next(): Promise<number> {
    const number = Math.max(Math.min(this.#clock.now().getTime() * 1000, clockCeiling), this.#last + 1);
    this.#last = number;
    if (number > this.#reserved) {
      const reserved = number + block;
      await this.#file.update({ reserved });
      this.#reserved = reserved;
    }
    return number;
  }
}
