import type { Clock } from "#core/clock";
import { describe } from "#core/error";
import { log } from "#core/log";
import { rateLevels, settleRate } from "#core/quota/rate";
import type { Answer } from "#functions/api/errors";

/** PATCH is unlimited, as in Trove (contract §4.7). */
export const limitedMethods = ["POST", "PUT", "DELETE", "GET"] as const;

/** Buckets remembered at most; a full one says nothing and may be forgotten. */
const CAPACITY = 10_000;
/** A bucket is settled when a twentieth of the limit was taken since the last time ... */
const SHARE = 1 / 20;
/** ... or after this, if more than half of it is gone, ms. */
const SETTLE_MS = 5_000;

interface Bucket {
  tokens: number;
  /** When that was so. */
  at: number;
  /** Taken here and not settled yet. */
  taken: number;
  settledAt: number;
}

/**
 * A token bucket per project and method (contract §4.7), shared by all processes. Each process takes from a bucket of its own
 * and settles it with the database now and then: one write for every twentieth of the limit (10 of 200 requests), so
 * not for every request, and none at all for a project that asks rarely; a project that comes to half of its limit is
 * settled every five seconds. Between two settlements a process knows nothing of the others, so with P processes a project
 * may pass its limit by less than P-1 twentieths, and by what is under way while one settles. That is a
 * debt, paid before anything else passes, up to a minute's worth. Where the database is away a process goes by its own bucket.
 */
export class RateLimiter {
  readonly #perMinute: number;
  readonly #share: number;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute;
    this.#share = Math.max(1, Math.floor(perMinute * SHARE));
    this.#clock = clock;
  }

  /** The refusal, if this request comes too soon. Within the request's context. */
  async take(projectId: string, method: string): Promise<Answer | undefined> {
    if (!limitedMethods.some((one) => one === method)) return undefined;
    const bucket = this.#bucket(projectId, method);
    if (bucket.tokens < 1) return this.#refuse(method, bucket);
    bucket.tokens -= 1;
    bucket.taken += 1;
    if (!this.#due(bucket)) return undefined;
    await this.#settle(projectId, method, bucket);
    // Others have been faster.
    return bucket.tokens < 0 ? this.#refuse(method, bucket) : undefined;
  }

  /** How many requests of each method are left now, for all processes as far as they have settled, and when there is one at the latest. */
  async state(projectId: string) {
    const shared = await rateLevels(projectId, this.#perMinute);
    return limitedMethods.map((method) => {
      const { tokens, taken } = this.#bucket(projectId, method);
      const left = Math.min(tokens, (shared.get(method) ?? this.#perMinute) - taken);
      const waitMs = left >= 1 ? 0 : this.#untilOne(left);
      return { method, value: this.#perMinute, remaining: Math.max(0, Math.floor(left)), nextAvailable: new Date(this.#clock.now().getTime() + waitMs) };
    });
  }

  #due = ({ taken, tokens, settledAt, at }: Bucket) => taken >= this.#share || (taken > 0 && tokens < this.#perMinute / 2 && at - settledAt >= SETTLE_MS);

  async #settle(projectId: string, method: string, bucket: Bucket): Promise<void> {
    const count = bucket.taken;
    bucket.taken = 0;
    bucket.settledAt = bucket.at;
    try {
      const left = await settleRate({ projectId, method, count, perMinute: this.#perMinute });
      bucket.tokens = left - bucket.taken;
      bucket.at = this.#clock.now().getTime();
    } catch (error) {
      bucket.taken += count;
      log.warn("rate not settled", { error: describe(error) });
    }
  }

  /** The bucket as it is now. */
  #bucket(projectId: string, method: string): Bucket {
    const key = `${method} ${projectId}`;
    const at = this.#clock.now().getTime();
    const bucket = this.#buckets.get(key) ?? { tokens: this.#perMinute, at, taken: 0, settledAt: at };
    bucket.tokens = Math.min(this.#perMinute, bucket.tokens + (Math.max(0, at - bucket.at) / 60_000) * this.#perMinute);
    bucket.at = at;
    // Deleting first moves the key to the end: the first one is always the longest unused.
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > CAPACITY) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return bucket;
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
