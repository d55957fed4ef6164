import type { Clock } from "#core/clock";
import type { Resource } from "#core/driver/resource";
import { notFound } from "#core/error";

interface Row<R> {
  value: R;
  removedAt?: number;
}

/** The fake's resources of one kind: names repeat, and lists may show the past. */
export class Table<R extends Resource> {
  readonly #rows: Map<string, Row<R>> = new Map<string, Row<R>>();
  readonly #clock: Clock;
  readonly #visibleAfterMs: number;

  /** `from`: a table whose rows this one begins with, as copies. */
  constructor(clock: Clock, visibleAfterMs: number, from?: Table<R>) {
    this.#clock = clock;
    this.#visibleAfterMs = visibleAfterMs;
    if (from) this.#rows = structuredClone(from.#rows);
  }

  insert(value: R): R {
    this.#rows.set(value.id, { value });
    return value;
  }

  get(id: string): R | undefined {
    const row = this.#rows.get(id);
    return row && row.removedAt === undefined ? row.value : undefined;
  }

  mustGet(id: string): R {
    const found = this.get(id);
    if (!found) throw notFound(`There is no resource ${id}.`);
    return found;
  }

  /** Undefined when it was absent. */
  remove(id: string): R | undefined {
    const row = this.#rows.get(id);
    if (!row || row.removedAt !== undefined) return undefined;
    row.removedAt = this.#clock.now().getTime();
    return row.value;
  }

  /** What is there now, oldest first. */
  all(): R[] {
    return this.#select((row) => row.removedAt === undefined);
  }

  /** What a list shows: the state of `staleMs` ago, or of `visibleAfterMs` ago where lists always lag. */
  seen(staleMs: number): R[] {
    const at = this.#clock.now().getTime() - Math.max(staleMs, this.#visibleAfterMs);
    return this.#select(({ value, removedAt }) => value.createdAt.getTime() <= at && (removedAt === undefined || removedAt > at));
  }

  /** A map keeps the order of insertion, which settles what the clock does not. */
  #select(wanted: (row: Row<R>) => boolean): R[] {
    const found = [...this.#rows.values()].filter(wanted).map(({ value }) => value);
    return found.sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime());
  }
}
