import { createHmac, timingSafeEqual } from "node:crypto";
import * as z from "zod";
import { AppError } from "#core/error";
import { grantMethods, OBJECT_BYTES, Place } from "#core/guest/protocol";

/*
 * A bearer grant says, under the installation's signature, which objects its holder may read or write, and until when. Whoever
 * serves objects needs nothing else: no database, no session.
 */

/** Derived, so that those who serve objects need not hold what enrolment tokens are made of. */
export const grantKey = (rootKey: Buffer): Buffer => createHmac("sha256", rootKey).update("grant").digest();

const Grant = z.object({
  place: Place,
  methods: z.array(z.enum(grantMethods)),
  /** Of one object. */
  mostBytes: z.number().int().positive().max(OBJECT_BYTES),
  /** Milliseconds since 1970. */
  until: z.number(),
});
export type Grant = z.infer<typeof Grant>;

const signature = (key: Buffer, body: string) => createHmac("sha256", key).update(`coffer grant v1\n${body}`).digest();

/** The value of an `authorization` header. */
export function bearer(key: Buffer, grant: Grant): string {
  const body = Buffer.from(JSON.stringify(grant)).toString("base64url");
  return `Bearer ${body}.${signature(key, body).toString("base64url")}`;
}

/** What the header grants at this time; AppError `unauthorized` for one that was not made with this key, or is over. */
export function granted(key: Buffer, header: string | undefined, at: Date): Grant {
  const [, body = "", given = ""] = /^Bearer ([\w-]+)\.([\w-]+)$/.exec(header ?? "") ?? [];
  const [mac, wanted] = [Buffer.from(given, "base64url"), signature(key, body)];
  if (mac.length !== wanted.length || !timingSafeEqual(mac, wanted)) throw new AppError("unauthorized", "A grant is required.", { reason: "grant.invalid" });
  const grant = Grant.parse(JSON.parse(Buffer.from(body, "base64url").toString("utf8")));
  if (grant.until <= at.getTime()) throw new AppError("unauthorized", "The grant is over.", { reason: "grant.over" });
  return grant;
}
