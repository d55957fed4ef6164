import { createHash } from "node:crypto";
import * as z from "zod";
import type { Actor } from "#core/actor";
import type { Clock } from "#core/clock";
import { AppError, describe } from "#core/error";
import { limitOf } from "#core/identity/limit";
import { log } from "#core/log";
import { ExpiringMap } from "#core/identity/lru";
import { ServiceToken, type Ask, type ServiceUser } from "#core/identity/service-token";

export type UserActor = Extract<Actor, { kind: "user" }>;

export interface TokenVerifier {
  /**
   * Who a token stands for; undefined when it is unknown, ended, revoked or has no project.
   * Throws `serviceUnavailable` when Keystone gives no usable answer in time.
   */
  verify(token: string): Promise<UserActor | undefined>;
}

export interface VerifierOptions extends ServiceUser {
  /** Identity root, with or without `/v3`. */
  url: string;
  clock: Clock;
  /** How long a good answer is believed, and so how late a revocation may be seen. At most 60. */
  cacheSeconds?: number;
  /** Bounds one look-up, log-in included. */
  timeoutMs?: number;
  fetch?: typeof fetch;
}

const Answer = z.object({
  token: z.object({
    expires_at: z.iso.datetime({ offset: true }),
    user: z.object({ id: z.string().min(1) }),
    project: z.object({ id: z.string().min(1) }).optional(),
    roles: z.array(z.object({ name: z.string() })).optional(),
  }),
});

/** A revocation must be seen within this, whatever the configuration says. */
const MAX_CACHE_SECONDS = 60;
/** Refusals are remembered briefly, so that a client that repeats a bad token costs Keystone little. */
const REFUSAL_MS = 5_000;
/** About 4 MB at most: a hash and a small object each. */
const CAPACITY = 10_000;
/** Visible ASCII, the length of the largest PKI token: anything else could not be sent on as a header. */
const plausible = /^[\x21-\x7e]{1,8192}$/;

/**
 * Verifies tokens against any Keystone v3 (Identity API v3, "Validate and show information
 * for token"). Tokens are kept as SHA-256 only. Concurrent look-ups of one token are one
 * request; a cached answer costs a hash and a map access.
 */
export function createTokenVerifier(options: VerifierOptions): TokenVerifier {
  const { clock, timeoutMs = 5_000 } = options;
  const believeMs = Math.min(options.cacheSeconds ?? MAX_CACHE_SECONDS, MAX_CACHE_SECONDS) * 1000;
  const ask = asker(options);
  const service = new ServiceToken(ask, options, clock);
  const known = new ExpiringMap<UserActor>(CAPACITY);
  // Apart from the good ones, so that a flood of bad tokens does not push those out.
  const refused = new ExpiringMap<true>(CAPACITY);
  const pending = new Map<string, Promise<UserActor | undefined>>();
  const limit = limitOf({ running: 64, waiting: 1024, name: "Token validation" });

  async function lookUp(token: string, key: string): Promise<UserActor | undefined> {
    // Before the question is sent: an answer is as old as its question.
    const asked = clock.now().getTime();
    const found = await within(timeoutMs, validate(token));
    const now = clock.now().getTime();
    if (found && found.expires > now) {
      known.set(key, found.actor, Math.min(found.expires, asked + believeMs));
      return found.actor;
    }
    refused.set(key, true, now + REFUSAL_MS);
    return undefined;
  }

  async function validate(token: string, renewed = false): Promise<Found | undefined> {
    const own = await service.get();
    const { status, body } = await ask("/auth/tokens?nocatalog", {
      headers: { accept: "application/json", "x-auth-token": own, "x-subject-token": token },
    });
    if (status === 200) return parse(body);
    if (status === 404) return undefined;
    if (status === 401) {
      service.discard(own);
      if (!renewed) return validate(token, true);
    }
    throw new AppError("serviceUnavailable", "The identity service could not validate the token", {
      reason: "identity.validate",
      cause: new Error(`Keystone answered ${status}`),
    });
  }

  return {
    async verify(token) {
      if (!plausible.test(token)) return undefined;
      const key = createHash("sha256").update(token).digest("base64");
      const now = clock.now().getTime();
      const hit = known.get(key, now);
      if (hit) return hit.value;
      if (refused.get(key, now)) return undefined;
      let answer = pending.get(key);
      if (!answer) {
        answer = limit(() => lookUp(token, key))
          .catch((error: unknown) => {
            const cause = error instanceof Error ? error.cause : undefined;
            log.warn("token could not be validated", { error: describe(error), ...(cause !== undefined && { cause: describe(cause) }) });
            throw error;
          })
          .finally(() => pending.delete(key));
        pending.set(key, answer);
      }
      return answer;
    },
  };
}

interface Found {
  actor: UserActor;
  /** Epoch ms. */
  expires: number;
}

/** Undefined for a token without a project: it says who, but not on whose behalf. */
function parse(body: unknown): Found | undefined {
  const answer = Answer.safeParse(body);
  if (!answer.success) {
    throw new AppError("serviceUnavailable", "The identity service sent an answer that is no token", {
      reason: "identity.answer",
      cause: answer.error,
    });
  }
  const { user, project, roles = [], expires_at } = answer.data.token;
  if (!project) return undefined;
  const names = Object.freeze(roles.map((role) => role.name));
  return {
    // Frozen, because every request with this token gets the same object.
    actor: Object.freeze({
      kind: "user",
      userId: user.id,
      projectId: project.id,
      roles: names,
      isAdmin: names.some((name) => name.toLowerCase() === "admin"),
    }),
    expires: Date.parse(expires_at),
  };
}

function asker({ url, timeoutMs = 5_000, fetch: send = fetch }: VerifierOptions): Ask {
  const root = url.replace(/\/+$/, "");
  const base = root.endsWith("/v3") ? root : `${root}/v3`;
  return async (path, init) => {
    try {
      // A redirect could carry the service's own token to another host.
      const response = await send(base + path, { ...init, redirect: "error", signal: AbortSignal.timeout(timeoutMs) });
      return { status: response.status, headers: response.headers, body: json(await response.text()) };
    } catch (error) {
      throw unreachable(error);
    }
  };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's error page, for one; who reads the reply judges by its status and finds no body.
    return undefined;
  }
}

/** Each request has its own time-out; this bounds the few that one look-up may need together. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unreachable(new Error(`no answer within ${ms} ms`))), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

const unreachable = (cause: unknown) =>
  new AppError("serviceUnavailable", "The identity service does not answer", {
    reason: "identity.unreachable",
    next: "Try again; if it persists, look at the identity service.",
    cause,
  });
