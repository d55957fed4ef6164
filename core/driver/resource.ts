/** What compute, volume and network have in common. */
export interface Resource {
  /** The cloud's id. */
  id: string;
  /** Ours, from `external()`; clouds do not keep names unique. */
  name: string;
  createdAt: Date;
}

/** Every call gives up at `signal`, which fires before the caller's lease ends. */
export interface Call {
  signal: AbortSignal;
}

/**
 * The raw verbs of one kind of resource. `create` may be called twice and may succeed after
 * its caller gave up; `ensure` and `removeAll` in `ensure.ts` are what copes with that.
 */
export interface Resources<Spec extends { name: string }, R extends Resource> {
  create(spec: Spec, call: Call): Promise<R>;
  get(id: string, call: Call): Promise<R | undefined>;
  /** All that carry this name, oldest first. */
  find(name: string, call: Call): Promise<R[]>;
  /** All of this installation. */
  list(call: Call): Promise<R[]>;
  /** Absent = success. Resolves when the resource is gone or surely going. */
  remove(id: string, call: Call): Promise<void>;
}
