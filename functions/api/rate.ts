import type { Clock } from "#core/clock";
import type { Answer } from "#functions/api/errors";

/** PATCH is unlimited, as in Trove (contract §4.7). */
export const limitedMethods = ["POST", "PUT", "DELETE", "GET"] as const;

/** Projects remembered at most; a full bucket says nothing and may be forgotten. */
const CAPACITY = 10_000;

interface Bucket {
  tokens: number;
  at: number;
}

/** A token bucket per process, project and method (contract §4.7). */
export class RateLimiter {
  readonly #perMinute: number;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute;
    this.#clock = clock;
  }

  /** The refusal, if this request comes too soon. */
  take(projectId: string, method: string): Answer | undefined {
    if (!limitedMethods.some((one) => one === method)) return undefined;
    const bucket = this.#level(projectId, method);
    if (bucket.tokens < 1) return this.#refuse(method, bucket);
    bucket.tokens -= 1;
    this.#keep(`${method} ${projectId}`, bucket);
    return undefined;
  }

  /** How many requests are left now, and when there is one at the latest. */
  state(projectId: string, method: string) {
    const { tokens } = this.#level(projectId, method);
    const remaining = Math.floor(tokens);
    const waitMs = remaining >= 1 ? 0 : this.#untilOne(tokens);
    return { value: this.#perMinute, remaining, nextAvailable: new Date(this.#clock.now().getTime() + waitMs) };
  }

  #level(projectId: string, method: string): Bucket {
    const now = this.#clock.now().getTime();
    const found = this.#buckets.get(`${method} ${projectId}`);
    if (!found) return { tokens: this.#perMinute, at: now };
    const gained = (Math.max(0, now - found.at) / 60_000) * this.#perMinute;
    return { tokens: Math.min(this.#perMinute, found.tokens + gained), at: now };
  }

  #keep(key: string, bucket: Bucket) {
    // Deleting first moves the key to the end: the first one is always the longest unused.
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size <= CAPACITY) return;
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }

  #untilOne = (tokens: number) => ((1 - tokens) / this.#perMinute) * 60_000;

  #refuse(method: string, { tokens }: Bucket): Answer {
    const seconds = String(Math.ceil(this.#untilOne(tokens) / 1000));
    const details = `Only ${this.#perMinute} ${method} requests per minute are allowed.`;
    return {
      status: 413,
      body: { overLimit: { code: 413, message: "This request was rate-limited.", details, retryAfter: seconds } },
      headers: { "retry-after": seconds },
    };
  }
}
