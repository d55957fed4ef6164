import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";
import * as z from "zod";

/** What a token says. Instants in epoch ms. */
export interface Claims {
  userId: string;
  /** The password it was issued under; another one since then ends it. */
  passwordVersion: number;
  /** Absent: the token is unscoped. */
  projectId?: string;
  /** Names of the roles it was issued with; losing one of them ends it. */
  roles: string[];
  methods: string[];
  issuedAt: number;
  expiresAt: number;
  /** Its own, then that of the first token of its chain, if it was made from another token. */
  auditIds: string[];
}

export interface TokenCodec {
  seal(claims: Claims): string;
  /** Undefined for anything this installation did not sign. Does not look at the clock. */
  open(token: string): Claims | undefined;
}

const VERSION = 1;
/** Far above any token of ours: what is longer is refused before it is hashed. */
const MAX_LENGTH = 4096;

const Payload = z.tuple([
  z.literal(VERSION),
  z.string(),
  z.number(),
  z.string().nullable(),
  z.array(z.string()),
  z.array(z.string()),
  z.number(),
  z.number(),
  z.array(z.string()),
]);

/** `<payload>.<HMAC-SHA-256>`, both base64url, under a key derived for this purpose alone. */
export function tokenCodec(signingKey: Buffer): TokenCodec {
  const key = Buffer.from(hkdfSync("sha256", signingKey, "", "coffer identity token", 32));
  const sign = (payload: string) => createHmac("sha256", key).update(payload).digest();
  return {
    seal(c) {
      const tuple: z.infer<typeof Payload> = [
        VERSION, c.userId, c.passwordVersion, c.projectId ?? null, c.roles, c.methods, c.issuedAt, c.expiresAt, c.auditIds,
      ];
      const payload = Buffer.from(JSON.stringify(tuple)).toString("base64url");
      return `${payload}.${sign(payload).toString("base64url")}`;
    },
    open(token) {
      if (token.length > MAX_LENGTH) return undefined;
      const [payload, signature, ...rest] = token.split(".");
      if (!payload || !signature || rest.length > 0) return undefined;
      const given = Buffer.from(signature, "base64url");
      const right = sign(payload);
      if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined;
      // Signed, so it is ours; one of another version is none we know.
      const parsed = Payload.safeParse(JSON.parse(Buffer.from(payload, "base64url").toString()));
      if (!parsed.success) return undefined;
      const [, userId, passwordVersion, projectId, roles, methods, issuedAt, expiresAt, auditIds] = parsed.data;
      return { userId, passwordVersion, ...(projectId !== null && { projectId }), roles, methods, issuedAt, expiresAt, auditIds };
    },
  };
}

/** Random, 22 characters, like Keystone's. */
export const newAuditId = () => randomBytes(16).toString("base64url");
