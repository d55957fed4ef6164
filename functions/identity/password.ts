import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { limitOf } from "#core/identity/limit";

const derive = promisify<string, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt);

/**
 * 16 MB and some 0.14 s each: one of the settings the OWASP Password Storage Cheat Sheet gives for
 * scrypt. glibc would keep that memory, once per thread: the start script's MALLOC_MMAP_THRESHOLD_ makes it give it back.
 */
const COST = { N: 2 ** 14, r: 8, p: 5 };
const KEY_BYTES = 32;

/**
 * The turn to hash or check a password. Two at a time leave half of libuv's four threads to
 * file and name look-ups, however many try to log in; 64 waiting are some 5 s of work.
 */
export const passwordTurn = limitOf({ running: 2, waiting: 64, name: "The login service" });

/** `scrypt$N$r$p$salt$key`, salt and key in base64url: a later change of cost leaves old hashes readable. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const key = await keyOf(password, salt, COST);
  return ["scrypt", COST.N, COST.r, COST.p, salt.toString("base64url"), key.toString("base64url")].join("$");
}

/**
 * Whether `password` is the one hashed. Without a hash (unknown user) it takes as long and is
 * false. To be called within `passwordTurn`.
 */
export async function checkPassword(password: string, hash: string | undefined): Promise<boolean> {
  const stored = hash === undefined ? undefined : read(hash);
  const key = await keyOf(password, stored?.salt ?? randomBytes(16), stored ?? COST);
  return timingSafeEqual(key, stored?.key ?? randomBytes(KEY_BYTES)) && stored !== undefined;
}

function keyOf(password: string, salt: Buffer, { N, r, p }: typeof COST): Promise<Buffer> {
  // It takes 128 * N * r bytes (RFC 7914 §6) and a little; twice that is room enough.
  return derive(password, salt, KEY_BYTES, { N, r, p, maxmem: 256 * N * r });
}

function read(hash: string) {
  const [algorithm, N, r, p, salt, key] = hash.split("$");
  if (algorithm !== "scrypt" || !salt || !key) throw new Error("a stored password hash is unreadable");
  return { N: Number(N), r: Number(r), p: Number(p), salt: Buffer.from(salt, "base64url"), key: Buffer.from(key, "base64url") };
}
