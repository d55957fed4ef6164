import { generateKeyPairSync } from "node:crypto";
import { issue, type Authority } from "#core/pki";
import { createGuestApp, type GuestDeps } from "#functions/guest/app";
import { listen, type Listening } from "#functions/node/listen";

export interface GuestEndpoint extends Omit<GuestDeps, "rotateAfterSeconds"> {
  authority: Authority;
  host?: string;
  port: number;
  /** By which guests know it: subject alternative names of its certificate. */
  names: string[];
  /** Whose setting to change when the port is taken. */
  setting: string;
}

const ROTATE_AFTER_SECONDS = 86_400;

/** What agents call, by HTTPS with a fresh certificate of the installation's CA. Throws StartError when the port is taken. */
export async function serveGuests({ host, port, names, setting, ...deps }: GuestEndpoint): Promise<Listening> {
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const cert = await issue(deps.authority, keys.publicKey.export({ format: "der", type: "spki" }), names, new Date());
  return listen({
    port,
    setting,
    ...(host && { host }),
    fetch: createGuestApp({ ...deps, rotateAfterSeconds: ROTATE_AFTER_SECONDS }).fetch,
    tls: { key: keys.privateKey.export({ format: "pem", type: "pkcs8" }).toString(), cert },
  });
}
