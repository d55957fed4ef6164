import { createCipheriv, createDecipheriv, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync, randomBytes, type KeyObject } from "node:crypto";
import { badRequest } from "#core/error";

/**
 * Sealing for the holder of an X25519 key: an ephemeral key, HKDF-SHA-256 over both public halves,
 * AES-256-GCM. `bound` says what the text is for; what was sealed for something else does not open.
 */
const spki = (key: KeyObject) => key.export({ type: "spki", format: "der" });

export function sealingKey(text: string): KeyObject {
  try {
    const key = createPublicKey({ key: Buffer.from(text, "base64"), format: "der", type: "spki" });
    if (key.asymmetricKeyType === "x25519") return key;
  } catch {
    // No key at all: refused as one of another kind is.
  }
  throw badRequest("sealingKey: must be an X25519 key (SPKI DER, base64).", { reason: "guest.key" });
}

/** Over the ephemeral key as it was written down: another spelling of the same key does not open. */
const derive = (secret: Buffer, ephemeral: Buffer, recipient: KeyObject) =>
  Buffer.from(hkdfSync("sha256", secret, Buffer.concat([ephemeral, spki(recipient)]), "coffer seal v1", 32));

/** base64. `recipient` is the public half, SPKI DER in base64. */
export function seal(recipient: string, bound: string, text: string): string {
  const to = sealingKey(recipient);
  const { publicKey, privateKey } = generateKeyPairSync("x25519");
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", derive(diffieHellman({ privateKey, publicKey: to }), spki(publicKey), to), nonce);
  cipher.setAAD(Buffer.from(bound));
  const body = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return Buffer.concat([spki(publicKey), nonce, cipher.getAuthTag(), body]).toString("base64");
}

/** SPKI DER of an X25519 key. */
const keyBytes = 44;

/** AppError `badRequest` for what was sealed for another key or another purpose, or was changed. */
export function unseal(privateKey: KeyObject, bound: string, sealed: string): string {
  const bytes = Buffer.from(sealed, "base64");
  try {
    const ephemeral = bytes.subarray(0, keyBytes);
    const publicKey = createPublicKey({ key: ephemeral, format: "der", type: "spki" });
    const recipient = createPublicKey(privateKey);
    const nonce = bytes.subarray(keyBytes, keyBytes + 12);
    const decipher = createDecipheriv("aes-256-gcm", derive(diffieHellman({ privateKey, publicKey }), ephemeral, recipient), nonce);
    decipher.setAAD(Buffer.from(bound));
    decipher.setAuthTag(bytes.subarray(keyBytes + 12, keyBytes + 28));
    return Buffer.concat([decipher.update(bytes.subarray(keyBytes + 28)), decipher.final()]).toString("utf8");
  } catch (cause) {
    throw badRequest("What was sealed was sealed for another agent or another purpose.", { reason: "seal.open", final: true, cause });
  }
}
