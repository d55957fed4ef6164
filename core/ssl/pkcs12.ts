import { createDecipheriv, createHash, createHmac, createPrivateKey, pbkdf2, timingSafeEqual, X509Certificate, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { badRequest } from "#core/error";
import { bytesOf, DerError, integerOf, members, oidOf, readAll, type Node } from "#core/ssl/der";

const derive = promisify(pbkdf2);

/** Of one derivation: what is asked for is work of ours. OpenSSL's default is 2048, that of careful tools 600,000. */
const mostIterations = 1_000_000;
/** The old derivation runs in this process, step by step: OpenSSL and Java take 2048 to 100,000. */
const mostOldIterations = 200_000;

const wrong = (why: string, next?: string) => badRequest(`The secret of container_ref is no usable PKCS#12: ${why}.`, { reason: "ssl.pkcs12", ...(next && { next }) });
const unsupported = (what: string) => wrong(`${what} is not supported`, "Make it anew with openssl pkcs12 -export (OpenSSL 3).");

export interface Contents {
  keys: KeyObject[];
  certificates: X509Certificate[];
}

/**
 * Keys and certificates of a PKCS#12 (RFC 7292) that is protected by a password: integrity by HMAC,
 * contents by PBES2 (AES) or the older 3DES. AppError `badRequest` says what is wrong with it.
 */
export async function readPkcs12(bytes: Buffer, password: string): Promise<Contents> {
  try {
    return await read(bytes, password);
  } catch (error) {
    if (error instanceof DerError) throw wrong(error.message);
    throw error;
  }
}

const DATA = "1.2.840.113549.1.7.1";
const ENCRYPTED = "1.2.840.113549.1.7.6";
const CERTIFICATE = "1.2.840.113549.1.9.22.1";
const bag = { key: "1.2.840.113549.1.12.10.1.1", shrouded: "1.2.840.113549.1.12.10.1.2", certificate: "1.2.840.113549.1.12.10.1.3" };

async function read(bytes: Buffer, password: string): Promise<Contents> {
  const [pfx, ...more] = readAll(bytes);
  if (more.length > 0) throw new DerError("something follows its end");
  const [version, safe, mac] = members(pfx);
  if (integerOf(version) !== 3) throw new DerError("it is of another version than 3");
  const [type, content] = members(safe);
  if (oidOf(type) !== DATA) throw unsupported("one signed by a public key");
  const authenticated = bytesOf(members(content, 0xa0)[0], 0x04);
  if (!mac) throw wrong("it carries no integrity check");
  checkMac(mac, authenticated, password);

  const found: Contents = { keys: [], certificates: [] };
  for (const part of members(readAll(authenticated)[0])) {
    const [kind, inner] = members(part);
    const wrapped = members(inner, 0xa0)[0];
    const oid = oidOf(kind);
    if (oid !== DATA && oid !== ENCRYPTED) throw unsupported("a part encrypted for a public key");
    const plain = oid === DATA ? bytesOf(wrapped, 0x04) : await decryptPart(wrapped, password);
    for (const one of members(readAll(plain)[0])) await take(found, one, password);
  }
  return found;
}

async function take(found: Contents, node: Node, password: string): Promise<void> {
  const [kind, value] = members(node);
  const inner = members(value, 0xa0)[0];
  switch (oidOf(kind)) {
    case bag.key:
      found.keys.push(keyOf(inner?.raw));
      return;
    case bag.shrouded: {
      const [algorithm, body] = members(inner);
      found.keys.push(keyOf(await decrypt(algorithm, bytesOf(body, 0x04), password)));
      return;
    }
    case bag.certificate: {
      const [type, body] = members(inner);
      if (oidOf(type) !== CERTIFICATE) return;
      found.certificates.push(certificateOf(bytesOf(members(body, 0xa0)[0], 0x04)));
    }
  }
}

function keyOf(der: Buffer | undefined): KeyObject {
  try {
    return createPrivateKey({ key: der ?? Buffer.alloc(0), format: "der", type: "pkcs8" });
  } catch {
    throw wrong("a key in it cannot be read");
  }
}

function certificateOf(der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch {
    throw wrong("a certificate in it cannot be read");
  }
}

const hashes: Record<string, { name: string; block: number; size: number }> = {
  "1.3.14.3.2.26": { name: "sha1", block: 64, size: 20 },
  "2.16.840.1.101.3.4.2.1": { name: "sha256", block: 64, size: 32 },
  "2.16.840.1.101.3.4.2.2": { name: "sha384", block: 128, size: 48 },
  "2.16.840.1.101.3.4.2.3": { name: "sha512", block: 128, size: 64 },
};

function checkMac(node: Node, text: Buffer, password: string): void {
  const [info, salt, iterations] = members(node);
  const [algorithm, digest] = members(info);
  const hash = hashes[oidOf(members(algorithm)[0])];
  if (!hash) throw unsupported("its integrity check");
  const key = oldDerive(hash, 3, bytesOf(salt, 0x04), iterations ? integerOf(iterations) : 1, hash.size, password);
  const right = createHmac(hash.name, key).update(text).digest();
  const given = bytesOf(digest, 0x04);
  if (given.length !== right.length || !timingSafeEqual(given, right)) {
    throw badRequest("The PKCS#12 of container_ref does not open: the password is wrong, or the secret is damaged.", { reason: "ssl.password", next: "Give the password by password_ref; without it an empty one is tried." });
  }
}

/** An EncryptedData of CMS. */
async function decryptPart(node: Node | undefined, password: string): Promise<Buffer> {
  const [, info] = members(node);
  const [, algorithm, body] = members(info);
  return decrypt(algorithm, bytesOf(body, 0x80), password);
}

const ciphers: Record<string, { name: string; key: number }> = {
  "2.16.840.1.101.3.4.1.2": { name: "aes-128-cbc", key: 16 },
  "2.16.840.1.101.3.4.1.22": { name: "aes-192-cbc", key: 24 },
  "2.16.840.1.101.3.4.1.42": { name: "aes-256-cbc", key: 32 },
  "1.2.840.113549.3.7": { name: "des-ede3-cbc", key: 24 },
};
const pseudorandom: Record<string, string> = {
  "1.2.840.113549.2.7": "sha1",
  "1.2.840.113549.2.9": "sha256",
  "1.2.840.113549.2.10": "sha384",
  "1.2.840.113549.2.11": "sha512",
};

async function decrypt(algorithm: Node | undefined, body: Buffer, password: string): Promise<Buffer> {
  const [oid, parameters] = members(algorithm);
  const how = oidOf(oid);
  if (how === "1.2.840.113549.1.5.13") return decryptPbes2(parameters, body, password);
  if (how === "1.2.840.113549.1.12.1.3") {
    const [salt, iterations] = members(parameters);
    const of = (purpose: 1 | 2, size: number) => oldDerive({ name: "sha1", block: 64, size: 20 }, purpose, bytesOf(salt, 0x04), integerOf(iterations), size, password);
    return open("des-ede3-cbc", of(1, 24), of(2, 8), body);
  }
  throw unsupported("its encryption");
}

/** RFC 8018, with PBKDF2. */
async function decryptPbes2(parameters: Node | undefined, body: Buffer, password: string): Promise<Buffer> {
  const [derivation, encryption] = members(parameters);
  const [function_, how] = members(derivation);
  if (oidOf(function_) !== "1.2.840.113549.1.5.12") throw unsupported("its key derivation");
  const [salt, iterations, ...rest] = members(how);
  // The length of the key may stand before it.
  const prf = rest.find(({ tag }) => tag === 0x30);
  const digest = pseudorandom[prf ? oidOf(members(prf)[0]) : "1.2.840.113549.2.7"];
  const [oid, iv] = members(encryption);
  const cipher = ciphers[oidOf(oid)];
  if (!digest || !cipher) throw unsupported("its encryption");
  const count = bounded(integerOf(iterations), mostIterations);
  return open(cipher.name, await derive(Buffer.from(password), bytesOf(salt, 0x04), count, cipher.key, digest), bytesOf(iv, 0x04), body);
}

function open(name: string, key: Buffer, iv: Buffer, body: Buffer): Buffer {
  try {
    const decipher = createDecipheriv(name, key, iv);
    return Buffer.concat([decipher.update(body), decipher.final()]);
  } catch {
    // Its integrity was right: another password for the contents, or made wrongly.
    throw wrong("its contents do not open with the password");
  }
}

function bounded(count: number, most: number): number {
  if (count < 1 || count > most) throw wrong(`it asks for ${count} iterations of a key derivation, and at most ${most} are done`);
  return count;
}

/** RFC 7292 appendix B.2. `purpose`: 1 = key, 2 = initialisation vector, 3 = integrity. */
function oldDerive({ name, block, size }: { name: string; block: number; size: number }, purpose: 1 | 2 | 3, salt: Buffer, iterations: number, length: number, password: string): Buffer {
  const count = bounded(iterations, mostOldIterations);
  const fill = (from: Buffer) => {
    const whole = Buffer.alloc(Math.ceil(from.length / block) * block);
    for (let at = 0; at < whole.length; at++) whole[at] = from[at % from.length] ?? 0;
    return whole;
  };
  // BMPString with a terminating zero.
  const words = Buffer.from(`${password}\0`, "utf16le").swap16();
  let input = Buffer.concat([fill(salt), fill(words)]);
  const parts: Buffer[] = [];
  for (let had = 0; had < length; had += size) {
    let digest = createHash(name).update(Buffer.alloc(block, purpose)).update(input).digest();
    for (let round = 1; round < count; round++) digest = createHash(name).update(digest).digest();
    parts.push(digest);
    input = advance(input, digest, block);
  }
  return Buffer.concat(parts).subarray(0, length);
}

/** Every block of the input plus the digest plus one, as numbers. */
function advance(input: Buffer, digest: Buffer, block: number): Buffer<ArrayBuffer> {
  const next = Buffer.from(input);
  for (let start = 0; start < next.length; start += block) {
    let carry = 1;
    for (let at = block - 1; at >= 0; at--) {
      carry += (next[start + at] ?? 0) + (digest[at % digest.length] ?? 0);
      next[start + at] = carry & 0xff;
      carry >>= 8;
    }
  }
  return next;
}
