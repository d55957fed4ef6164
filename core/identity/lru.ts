/**
 * A map that holds at most `capacity` entries and drops the one unused for longest. Entries
 * end at `until` (epoch ms); one that has ended is as good as absent.
 */
export class ExpiringMap<V> {
  readonly #entries = new Map<string, { value: V; until: number }>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** The entry itself, because `undefined` may be a stored value. */
  get(key: string, now: number): { readonly value: V; readonly until: number } | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    if (now >= entry.until) return undefined;
    // A Map iterates in order of insertion: the first key is the one unused for longest.
    this.#entries.set(key, entry);
    return entry;
  }

  set(key: string, value: V, until: number) {
    this.#entries.delete(key);
    if (this.#entries.size >= this.#capacity) {
      const oldest = this.#entries.keys().next();
      if (!oldest.done) this.#entries.delete(oldest.value);
    }
    this.#entries.set(key, { value, until });
  }

  delete(key: string) {
    this.#entries.delete(key);
  }

  get size() {
    return this.#entries.size;
  }
}
