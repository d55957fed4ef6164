import * as z from "zod";
import { AppError } from "#core/error";
import type { Clock } from "#core/clock";
import type { Send } from "#core/openstack/http";

export interface ServiceUser {
  username: string;
  password: string;
  projectName: string;
  /** Both `Default` unless told. */
  userDomainName?: string;
  projectDomainName?: string;
}

const Issued = z.object({ token: z.object({ expires_at: z.iso.datetime({ offset: true }) }) });

/** A token this close to its end is not used any more. */
const RENEW_BEFORE_MS = 30_000;
/** A refused login is not repeated sooner: real Keystones lock an account after some failures. */
const REFUSED_MS = 5_000;

/**
 * The service user's own token, fetched when first needed, shared by concurrent callers and
 * renewed before it ends or once `discard` says that Keystone refused it.
 */
export class ServiceToken {
  readonly #send: Send;
  readonly #url: string;
  readonly #user: ServiceUser;
  readonly #clock: Clock;
  #current: { token: string; until: number } | undefined;
  #login: Promise<string> | undefined;
  #refused: { error: AppError; until: number } | undefined;

  /** `url` is Keystone's root, with its `/v3`. */
  constructor(send: Send, url: string, user: ServiceUser, clock: Clock) {
    this.#send = send;
    this.#url = url;
    this.#user = user;
    this.#clock = clock;
  }

  /** Throws `serviceUnavailable` when Keystone is down or refuses the service user. */
  get(): Promise<string> {
    const now = this.#clock.now().getTime();
    if (this.#current && now < this.#current.until) return Promise.resolve(this.#current.token);
    if (this.#refused && now < this.#refused.until) return Promise.reject(this.#refused.error);
    this.#login ??= this.#fetch().finally(() => {
      this.#login = undefined;
    });
    return this.#login;
  }

  /** Forgets `token` if it is still the current one; a newer one stays. */
  discard(token: string) {
    if (this.#current?.token === token) this.#current = undefined;
  }

  async #fetch(): Promise<string> {
    const { username, password, projectName, userDomainName = "Default", projectDomainName = "Default" } = this.#user;
    const { status, headers, body } = await this.#send(`${this.#url}/auth/tokens?nocatalog`, {
      method: "POST",
      repeatable: true,
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify({
        auth: {
          identity: { methods: ["password"], password: { user: { name: username, domain: { name: userDomainName }, password } } },
          scope: { project: { name: projectName, domain: { name: projectDomainName } } },
        },
      }),
    });
    if (status !== 201) {
      const error = new AppError("serviceUnavailable", "The identity service refused this service's own login.", {
        reason: "identity.login",
        next: "Check the user name, password, project and domains this service was given.",
        cause: new Error(`Keystone answered ${status}`),
      });
      // Too many requests is no word about the user.
      if (status < 500 && status !== 429) this.#refused = { error, until: this.#clock.now().getTime() + REFUSED_MS };
      throw error;
    }
    const token = headers.get("x-subject-token");
    const issued = Issued.safeParse(body);
    if (!token || !issued.success) {
      throw new AppError("serviceUnavailable", "The identity service answered a login with something that is no token.", {
        reason: "identity.answer",
        cause: issued.error,
      });
    }
    this.#refused = undefined;
    this.#current = { token, until: Date.parse(issued.data.token.expires_at) - RENEW_BEFORE_MS };
    return token;
  }
}
