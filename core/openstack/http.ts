import { systemClock, type Clock } from "#core/clock";
import { AppError } from "#core/error";

export interface Reply {
  status: number;
  headers: Headers;
  /** Undefined when it is not JSON. */
  body: unknown;
}

export interface Asking {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Doing it twice is as good as once, although it is a POST. */
  repeatable?: boolean;
}

/** One request; rejects with `serviceUnavailable` when there is no answer in time. Any status is an answer. */
export type Send = (url: string, asking?: Asking) => Promise<Reply>;

export interface HttpOptions {
  /** What is asked, for messages: "identity service". */
  service: string;
  /** Start of the reasons of its errors: `<reason>.unreachable`. */
  reason: string;
  /** Bounds one request with all its repetitions. */
  timeoutMs: number;
  fetch?: typeof fetch;
  /** Pauses between repetitions; not the clock that beliefs end by. */
  pauses?: Pick<Clock, "sleep">;
}

const ATTEMPTS = 3;
/** Doubled each time; half of it is left to chance, so that many who failed together do not come back together. */
const PAUSE_MS = 100;
/** What a balancer says whose service behind it is away or overloaded; a 500 is the service's own, and would come again. */
const passing = new Set([502, 503, 504]);
/** Codes of the system and of undici for: the request never arrived. */
const unsent = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"]);
/** The connection went away: also what a kept connection answers that the other side had closed meanwhile. */
const broken = new Set([...unsent, "ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]);
const safe = new Set(["GET", "HEAD", "PUT", "DELETE"]);

/**
 * Asks a service of an OpenStack cloud by HTTP. What may be repeated is, up to three times in all, where an answer may be had at
 * the next moment; a `Retry-After` is kept to if there is time for it, else the answer is the caller's. Redirects are no answers:
 * they could carry a token to another host.
 */
export function createHttp({ service, reason, timeoutMs, fetch: send = fetch, pauses = systemClock }: HttpOptions): Send {
  return async (url, { repeatable, ...init } = {}) => {
    const again = repeatable ?? safe.has(init.method ?? "GET");
    const end = AbortSignal.timeout(timeoutMs);
    const until = Date.now() + timeoutMs;
    for (let attempt = 1; ; attempt++) {
      const last = attempt === ATTEMPTS;
      const backOff = PAUSE_MS * 2 ** (attempt - 1) * (0.5 + Math.random() / 2);
      try {
        const response = await send(url, { ...init, redirect: "error", signal: end });
        const wait = Math.max(backOff, secondsOf(response.headers.get("retry-after")) * 1000);
        if (last || !again || !passing.has(response.status) || Date.now() + wait >= until) {
          return { status: response.status, headers: response.headers, body: json(await response.text()) };
        }
        // Not read: the connection is given up instead of kept waiting.
        await response.body?.cancel();
        await pauses.sleep(wait, end);
      } catch (error) {
        const cause = rootOf(error);
        const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
        if (last || end.aborted || !(again ? broken : unsent).has(code)) throw unreachable(service, reason, cause);
        await pauses.sleep(backOff, end);
      }
    }
  };
}

/** For a service that gives no usable answer in time. */
export const unreachable = (service: string, reason: string, cause: unknown) =>
  new AppError("serviceUnavailable", `The ${service} does not answer.`, {
    reason: `${reason}.unreachable`,
    next: `Try again; if it persists, look at the ${service}.`,
    cause,
  });

/** `fetch failed` says nothing; what it was stands below it. */
function rootOf(error: unknown): unknown {
  const cause = error instanceof TypeError && error.cause instanceof Error ? error.cause : error;
  // Of a name with several addresses, none of which answered.
  return cause instanceof AggregateError && cause.errors[0] instanceof Error ? cause.errors[0] : cause;
}

/** Of a `Retry-After` in seconds (RFC 9110 §10.2.3); a date counts as not given. */
const secondsOf = (header: string | null) => (header !== null && /^\d{1,4}$/.test(header) ? Number(header) : 0);

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's error page, for one; who reads the reply judges by its status and finds no body.
    return undefined;
  }
}
