import { saslprep } from "@mongodb-js/saslprep";
import { createHash, createHmac, pbkdf2, randomBytes } from "node:crypto";
import { promisify } from "node:util";

const derive = promisify(pbkdf2);
/** PostgreSQL's `scram_iterations` default; RFC 7677 §4 asks for at least this. */
const ITERATIONS = 4096;

/**
 * The SCRAM-SHA-256 verifier of a password, as PostgreSQL stores it (RFC 5803 form, RFC 7677):
 * who holds it can check the password but not learn it.
 */
export async function scramVerifier(password: string, random: (bytes: number) => Buffer = randomBytes): Promise<string> {
  const salt = random(16);
  const salted = await derive(prepared(password), salt, ITERATIONS, 32, "sha256");
  const mac = (text: string) => createHmac("sha256", salted).update(text).digest();
  const storedKey = createHash("sha256").update(mac("Client Key")).digest("base64");
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString("base64")}$${storedKey}:${mac("Server Key").toString("base64")}`;
}

/** RFC 4013; a password that it forbids counts as it was typed, as in PostgreSQL and libpq. */
function prepared(password: string): string {
  try {
    return saslprep(password) || password;
  } catch {
    // The only error is "prohibited character", and PostgreSQL's rule for it is to go on with the raw bytes.
    return password;
  }
}
