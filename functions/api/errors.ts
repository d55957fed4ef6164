import type { Random } from "#core/id";
import { AppError, describe, type Code } from "#core/error";
import { log } from "#core/log";

/** The only place where an error gets its HTTP status (contract §4.1). */
export const faults = {
  badRequest: 400,
  unauthorized: 401,
  forbidden: 403,
  itemNotFound: 404,
  conflict: 409,
  overLimit: 413,
  badMediaType: 415,
  unprocessableEntity: 422,
  instanceFault: 500,
  notImplemented: 501,
  serviceUnavailable: 503,
} as const satisfies Record<Code, number>;

/** How long a client should leave us alone when something behind us is away. */
const RETRY_SECONDS = 5;

/** An answer, before it becomes bytes. */
export interface Answer {
  status: number;
  /** Absent: no bytes at all. */
  body?: unknown;
  headers?: Record<string, string>;
}

/** Trove's envelope around anything thrown. What we did not expect shows a number to look for in the log, nothing else. */
export function answerOf(error: unknown, random: Random): Answer {
  const known = error instanceof AppError ? error : away(error);
  if (!known) {
    const incident = random.uuid();
    log.error("request failed", { incident, error: describe(error) });
    return envelope("instanceFault", `The request could not be carried out because of an unexpected error (incident ${incident}).`);
  }
  if (known.code === "serviceUnavailable") {
    log.warn("service unavailable", { reason: known.reason, error: known.message, ...(known.cause !== undefined && { cause: describe(known.cause) }) });
  }
  return envelope(known.code, [known.message, ...(known.next ? [known.next] : [])].join(" "));
}

function envelope(code: Code, message: string): Answer {
  return {
    status: faults[code],
    body: { [code]: { code: faults[code], message } },
    ...(code === "serviceUnavailable" && { headers: { "retry-after": String(RETRY_SECONDS) } }),
  };
}

/** Codes of the driver, of the system and of PostgreSQL (SQLSTATE) that say: the database cannot be asked now. */
const unreachable = new Set([
  "CONNECT_TIMEOUT", "CONNECTION_CLOSED", "CONNECTION_ENDED", "CONNECTION_DESTROYED",
  "ECONNREFUSED", "ECONNRESET", "ENOENT", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENOTFOUND", "EAI_AGAIN",
  "57P01", "57P02", "57P03", "53300",
]);
/** Two requests stood in each other's way; the database chose this one to end. */
const collided = new Set(["40001", "40P01", "55P03"]);

/** What a retry may cure, found anywhere in the chain of causes. */
function away(error: unknown): AppError | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
    if (unreachable.has(code) || code.startsWith("08")) {
      return new AppError("serviceUnavailable", "The state database cannot be reached.", { reason: "database.away", cause, next: "Try again in a few seconds." });
    }
    if (collided.has(code)) {
      return new AppError("serviceUnavailable", "Another request was in the way.", { reason: "database.collision", cause, next: "Try again." });
    }
  }
  return undefined;
}

/** Keystone's own form, which its clients expect of a refused token (contract §4.3). */
export const unauthenticated: Answer = {
  status: 401,
  body: { error: { code: 401, title: "Unauthorized", message: "The request you have made requires authentication." } },
};

/** Keystone's middleware says with every 401 where to log in, also with those that Trove gave itself. */
export const challenge = (authUrl: string) => ({ "www-authenticate": `Keystone uri="${authUrl}"` });
