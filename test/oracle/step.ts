import type { Who } from "#test/oracle/pair";

interface Options {
  /** What is kept of the reply, by the name that later steps put in braces: `{ one: "instance.id" }`. */
  save?: Record<string, string>;
  headers?: Record<string, string>;
  /** Sent as it is, instead of the body. */
  raw?: string;
  /** What is accepted does not begin, until a step without this. */
  hold?: boolean;
  /** Lists are compared as sets: their order is that of ids or of a cloud. */
  unordered?: boolean;
  /** Only keys and types are compared: what is in a page hangs on ids. */
  shape?: boolean;
  /** Only reads, whatever its method says. */
  reads?: boolean;
}

/** One request, sent to both servers: who, method and path below the project, body, and what is special about it. */
export type Step = [who: Who, ask: string, body?: unknown, options?: Options];

/** Every path of these, as each of these. */
export const everyone = (who: readonly Who[], asks: readonly string[], options: Options = {}): Step[] =>
  asks.flatMap((ask) => who.map((one): Step => [one, ask, undefined, options]));

/** The same request with one body after the other. */
export const bodies = (who: Who, ask: string, list: readonly unknown[], options: Options = {}): Step[] =>
  list.map((body): Step => [who, ask, body, options]);
