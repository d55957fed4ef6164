import { randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, rename, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { AppError, describe } from "#core/error";
import { lock } from "#core/lock";
import { createAuthority, type Authority } from "#core/pki";
import { StartError } from "#functions/node/start-error";

/** Engine, state and room for one small database. */
const NEEDED_BYTES = 512 * 1024 * 1024;

const text = z.string().min(16);
const Secrets = z.object({
  installation: z.string().regex(/^[0-9a-f]{10}$/),
  /** Hex; enrolment tokens are derived from it. */
  rootKey: z.string().regex(/^[0-9a-f]{64}$/),
  /** Hex; identity tokens are signed with it. */
  signingKey: z.string().regex(/^[0-9a-f]{64}$/),
  database: z.object({ owner: text, app: text, system: text }),
  users: z.object({ demo: text, alt: text, admin: text, trove: text }),
  /** Where agents reach us; kept, because running agents have it in their boot data. */
  guestPort: z.number().int(),
  authority: z.object({ certificate: z.string(), key: z.string() }),
});
export type Secrets = z.infer<typeof Secrets>;

export interface Home {
  directory: string;
  secrets: Secrets;
  authority: Authority;
  release: () => Promise<void>;
}

/**
 * Opens the state directory for this process alone; makes it, with fresh keys, at the first
 * start. Throws StartError where only the owner of the machine can help.
 */
export async function openHome(directory: string, freePort: () => Promise<number>): Promise<Home> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o711 });
    await writeFile(join(directory, ".writable"), "");
  } catch (error) {
    throw new StartError(`The state directory ${directory} cannot be written (${describe(error)}); set COFFER_HOME to one that can.`);
  }
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize < NEEDED_BYTES) {
    throw new StartError(
      `Only ${Math.floor((bavail * bsize) / 1048576)} MB are free at ${directory}; Coffer needs ${NEEDED_BYTES / 1048576} MB. Free some, or set COFFER_HOME to another disk.`,
    );
  }
  let release: () => Promise<void>;
  try {
    release = await lock(directory, "service");
  } catch (error) {
    if (!(error instanceof AppError) || error.reason !== "locked") throw error;
    throw new StartError(`Another Coffer already runs in ${directory}; stop it, or set COFFER_HOME and COFFER_PORT for a second one.`);
  }
  const secrets = await openSecrets(join(directory, "secrets.json"), freePort);
  await writeFile(join(directory, "ca.pem"), secrets.authority.certificate, { mode: 0o644 });
  return { directory, secrets, authority: secrets.authority, release };
}

async function openSecrets(path: string, freePort: () => Promise<number>): Promise<Secrets> {
  let stored: string;
  try {
    stored = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return makeSecrets(path, freePort);
    throw new StartError(`${path} cannot be read: ${describe(error)}.`);
  }
  try {
    return Secrets.parse(JSON.parse(stored));
  } catch {
    // The parser's message could quote a secret.
    throw new StartError(`${path} is damaged; restore it from a backup, or move the whole state directory away to begin anew.`);
  }
}

async function makeSecrets(path: string, freePort: () => Promise<number>): Promise<Secrets> {
  const password = () => randomBytes(18).toString("base64url");
  const installation = randomBytes(5).toString("hex");
  const secrets: Secrets = {
    installation,
    rootKey: randomBytes(32).toString("hex"),
    signingKey: randomBytes(32).toString("hex"),
    database: { owner: password(), app: password(), system: password() },
    users: { demo: password(), alt: password(), admin: password(), trove: password() },
    guestPort: await freePort(),
    authority: await createAuthority(installation, new Date()),
  };
  await writeFile(`${path}.new`, JSON.stringify(secrets, undefined, 2), { mode: 0o600 });
  await chmod(`${path}.new`, 0o600);
  await rename(`${path}.new`, path);
  return secrets;
}
