/** What a server says of one of its parameters. */
export interface Fact {
  /** In lower case, as configuration groups spell it. */
  name: string;
  type: ParameterType;
  /** Inclusive, in `unit`; absent = none. */
  min?: number;
  max?: number;
  /** What a plain number counts, as the server names it: `ms`, `8kB`. */
  unit?: string;
  /** The words it takes; absent = any. */
  values?: readonly string[];
  /** A change waits for the next start of the server. */
  restart?: true;
}

export type ParameterType = "integer" | "float" | "boolean" | "string";

/** Values of a configuration group, by parameter. */
export type Overrides = Record<string, string | number | boolean>;
