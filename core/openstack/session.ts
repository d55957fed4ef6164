import type { Clock } from "#core/clock";
import { createHttp, type Asking, type Reply, type Send } from "#core/openstack/http";
import { ServiceToken, type ServiceUser } from "#core/openstack/service-token";

export interface SessionOptions extends ServiceUser {
  /** Identity root, with or without `/v3`. */
  url: string;
  clock: Clock;
  /** Bounds one request, its repetitions included. */
  timeoutMs?: number;
  fetch?: typeof fetch;
}

/**
 * An OpenStack cloud as the service user sees it: requests carry its token, which is renewed once where it is refused.
 */
export class Session {
  /** Keystone's root, with its `/v3`. */
  readonly identityUrl: string;
  readonly #send: Send;
  readonly #token: ServiceToken;

  constructor({ url, clock, timeoutMs = 5_000, fetch, ...user }: SessionOptions) {
    const root = url.replace(/\/+$/, "");
    this.identityUrl = root.endsWith("/v3") ? root : `${root}/v3`;
    this.#send = createHttp({ service: "identity service", reason: "identity", timeoutMs, ...(fetch && { fetch }) });
    this.#token = new ServiceToken(this.#send, this.identityUrl, user, clock);
  }

  /** One request with the service's token, by `send` if it is not Keystone's. A 401 to a new token is the caller's to judge, as any status is. */
  async ask(url: string, asking: Asking = {}, send: Send = this.#send): Promise<Reply> {
    for (let renewed = false; ; renewed = true) {
      const own = await this.#token.get();
      const reply = await send(url, { ...asking, headers: { accept: "application/json", ...asking.headers, "x-auth-token": own } });
      if (reply.status !== 401) return reply;
      this.#token.discard(own);
      if (renewed) return reply;
    }
  }
}
