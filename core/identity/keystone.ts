import { createHash } from "node:crypto";
import * as z from "zod";
import type { Actor } from "#core/actor";
import { AppError, describe } from "#core/error";
import { limitOf } from "#core/identity/limit";
import { ExpiringMap } from "#core/identity/lru";
import { log } from "#core/log";
import { unreachable } from "#core/openstack/http";
import { Session, type SessionOptions } from "#core/openstack/session";

export type UserActor = Extract<Actor, { kind: "user" }>;

export interface TokenVerifier {
  /**
   * Who a token stands for; undefined when it is unknown, ended or revoked. Throws `forbidden`, saying what it
   * is for instead, when it has no project, and `serviceUnavailable` when Keystone gives no usable answer in time.
   */
  verify(token: string): Promise<UserActor | undefined>;
}

export interface VerifierOptions extends SessionOptions {
  /** How long a good answer is believed, and so how late a revocation may be seen. At most 60. */
  cacheSeconds?: number;
  /** Bounds one look-up, log-in included. */
  timeoutMs?: number;
}

const Answer = z.object({
  token: z.object({
    expires_at: z.iso.datetime({ offset: true }),
    user: z.object({ id: z.string().min(1) }),
    project: z.object({ id: z.string().min(1) }).optional(),
    domain: z.object({ name: z.string() }).optional(),
    system: z.object({}).optional(),
    roles: z.array(z.object({ name: z.string() })).optional(),
    application_credential: z.object({ access_rules: z.array(z.object({ service: z.string(), method: z.string(), path: z.string() })).optional() }).optional(),
  }),
});

/** A revocation must be seen within this, whatever the configuration says. */
const MAX_CACHE_SECONDS = 60;
/** Refusals are remembered briefly, so that a client that repeats a bad token costs Keystone little. */
const REFUSAL_MS = 5_000;
/** About 4 MB at most: a hash and a small object each. */
const CAPACITY = 10_000;
/**
 * Visible ASCII: anything else could not be sent on as a header. Fernet tokens have 255 characters at most, JWS tokens
 * below a thousand; a server in front of Keystone may refuse headers of 4 KB, and its refusal would look like an outage.
 */
const plausible = /^[\x21-\x7e]{1,2048}$/;
/** Without it Keystone hides tokens whose application credential has access rules: only who keeps to them may see them. */
const RULES = { "openstack-identity-access-rules": "1.0" };

/**
 * Verifies tokens against any Keystone v3 (Identity API v3, "Validate and show information
 * for token"). Tokens are kept as SHA-256 only. Concurrent look-ups of one token are one
 * request; a cached answer costs a hash and a map access.
 */
export function createTokenVerifier(options: VerifierOptions): TokenVerifier {
  const { clock, timeoutMs = 5_000 } = options;
  const believeMs = Math.min(options.cacheSeconds ?? MAX_CACHE_SECONDS, MAX_CACHE_SECONDS) * 1000;
  const session = new Session({ ...options, timeoutMs });
  const known = new ExpiringMap<UserActor>(CAPACITY);
  // Apart from the good ones, so that a flood of bad tokens does not push those out. With the error that says more, if any.
  const refused = new ExpiringMap<AppError | undefined>(CAPACITY);
  const pending = new Map<string, Promise<UserActor | undefined>>();
  const limit = limitOf({ running: 64, waiting: 1024, name: "Token validation" });

  async function lookUp(token: string, key: string): Promise<UserActor | undefined> {
    // Before the question is sent: an answer is as old as its question.
    const asked = clock.now().getTime();
    const found = await within(timeoutMs, validate(token));
    const now = clock.now().getTime();
    const meant = found && found.expires > now ? found.actor : undefined;
    if (meant && !(meant instanceof AppError)) known.set(key, meant, Math.min(found?.expires ?? 0, asked + believeMs));
    else refused.set(key, meant, now + REFUSAL_MS);
    return answerOf(meant);
  }

  async function validate(token: string): Promise<Found | undefined> {
    const { status, body } = await session.ask(`${session.identityUrl}/auth/tokens?nocatalog`, { headers: { "x-subject-token": token, ...RULES } });
    if (status === 200) return parse(body);
    if (status === 404) return undefined;
    throw new AppError("serviceUnavailable", "The identity service could not validate the token.", {
      reason: "identity.validate",
      ...(status === 403 && { next: "The user of this service needs a role that may validate tokens, such as admin in the project service." }),
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
      const refusal = refused.get(key, now);
      if (refusal) return answerOf(refusal.value);
      let answer = pending.get(key);
      if (!answer) {
        answer = limit(() => lookUp(token, key))
          .catch((error: unknown) => {
            if (error instanceof AppError && error.code !== "serviceUnavailable") throw error;
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

const SERVICE = "identity service";

interface Found {
  /** Or why there is none to act for. */
  actor: UserActor | AppError;
  /** Epoch ms. */
  expires: number;
}

function answerOf(meant: UserActor | AppError | undefined): UserActor | undefined {
  if (meant instanceof AppError) throw meant;
  return meant;
}

function parse(body: unknown): Found {
  const answer = Answer.safeParse(body);
  if (!answer.success) {
    throw new AppError("serviceUnavailable", "The identity service sent an answer that is no token.", {
      reason: "identity.answer",
      cause: answer.error,
    });
  }
  const { user, project, domain, system, roles = [], expires_at, application_credential: credential } = answer.data.token;
  const expires = Date.parse(expires_at);
  if (!project) return { actor: withoutProject(domain ? `scoped to the domain '${domain.name}', not to a project` : system ? "scoped to the system, not to a project" : "not scoped to a project"), expires };
  const names = Object.freeze(roles.map((role) => role.name));
  return {
    // Frozen, because every request with this token gets the same object.
    actor: Object.freeze({
      kind: "user",
      userId: user.id,
      projectId: project.id,
      roles: names,
      isAdmin: names.some((name) => name.toLowerCase() === "admin"),
      ...(credential?.access_rules && { accessRules: Object.freeze(credential.access_rules) }),
    }),
    expires,
  };
}

/** As in Trove, where such a token passes Keystone's middleware and is refused by the path's project (contract §4.5). */
const withoutProject = (scope: string) =>
  new AppError("forbidden", `The token is ${scope}.`, {
    reason: "project.none",
    next: "Log in with a project (OS_PROJECT_NAME or OS_PROJECT_ID).",
  });

/** Each request has its own time-out; this bounds the few that one look-up may need together. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unreachable(SERVICE, "identity", new Error(`no answer within ${ms} ms`))), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
