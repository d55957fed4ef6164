import { sql, type Placeholder } from "drizzle-orm";
import type { Tx } from "#core/db/index";

interface Preparable<R> {
  prepare(name: string): { execute(values?: Record<string, unknown>): Promise<R> };
}

/**
 * A statement of a path that many requests take, built once per connection: drizzle spends more
 * time on the text of a statement than PostgreSQL on its execution. What varies is a
 * `sql.placeholder(name)` in it. It is sent by the call, not when its result is awaited.
 * A value that may be null must belong to a column whose values are sent as they are.
 */
export function statement<V extends Record<string, unknown>, R>(build: (tx: Tx) => Preparable<R>): (tx: Tx, values: V) => Promise<R> {
  const built = new WeakMap<Tx, ReturnType<Preparable<R>["prepare"]>>();
  return (tx, values) => {
    let ready = built.get(tx);
    if (!ready) {
      // The driver names the statements it prepares by their text.
      ready = build(tx).prepare("");
      built.set(tx, ready);
    }
    return ready.execute(values);
  };
}

/** For an INSERT: every column's value is the placeholder of its name. */
export const given = <K extends string>(columns: readonly K[]): Record<K, Placeholder> =>
  Object.fromEntries(columns.map((name) => [name, sql.placeholder(name)] as const)) as unknown as Record<K, Placeholder>;
