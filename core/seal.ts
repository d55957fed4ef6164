import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { AppError } from "#core/error";

/*
 * What tenants give us in confidence and we must give on as it was (contents of modules) is kept sealed: AES-256-GCM,
 * bound to what it belongs to, so that a sealed text moved to another row does not open. Whoever reads the state
 * database, or a copy of it, without the key has nothing.
 */

/** One byte ahead of everything sealed, so that another form can be told apart one day. */
const FORM = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Derived, so that those who seal need not hold what enrolment tokens are made of. */
export const sealKey = (rootKey: Buffer): Buffer => createHmac("sha256", rootKey).update("seal").digest();

export interface Seal {
  /** `about` names what it belongs to. */
  close(plain: Buffer, about: string): Buffer;
  /** Throws AppError when it was sealed with another key, for something else, or has been changed. */
  open(sealed: Buffer, about: string): Buffer;
}

/** `key` has 256 bit. A nonce is random: safe for 2^32 texts under one key (NIST SP 800-38D §8.3). */
export function createSeal(key: Buffer): Seal {
  if (key.length !== 32) throw new Error("a sealing key has 32 bytes");
  return {
    close(plain, about) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(about));
      return Buffer.concat([Buffer.from([FORM]), nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    open(sealed, about) {
      const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
      const tag = sealed.subarray(-TAG_BYTES);
      try {
        if (sealed[0] !== FORM || sealed.length < 1 + NONCE_BYTES + TAG_BYTES) throw new Error("it is of another form");
        const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(about)).setAuthTag(tag);
        return Buffer.concat([decipher.update(sealed.subarray(1 + NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
      } catch (cause) {
        throw new AppError("instanceFault", "What was sealed cannot be opened with this installation's key.", { reason: "seal.closed", final: true, cause });
      }
    },
  };
}
