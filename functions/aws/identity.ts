import { systemClock } from "#core/clock";
import { createTokenVerifier } from "#core/identity/keystone";
import type { Environment } from "#functions/aws/environment";

export type KeystoneSettings = Pick<Environment<"api">, Extract<keyof Environment<"api">, `COFFER_KEYSTONE_${string}`>>;

/** Who asks is Keystone's to say; `authUrl` is shown to those who did not log in. */
export function openIdentity(settings: KeystoneSettings) {
  const verifier = createTokenVerifier({
    url: settings.COFFER_KEYSTONE_URL,
    username: settings.COFFER_KEYSTONE_USERNAME,
    password: settings.COFFER_KEYSTONE_PASSWORD,
    projectName: settings.COFFER_KEYSTONE_PROJECT,
    userDomainName: settings.COFFER_KEYSTONE_USER_DOMAIN,
    projectDomainName: settings.COFFER_KEYSTONE_PROJECT_DOMAIN,
    cacheSeconds: settings.COFFER_KEYSTONE_CACHE_SECONDS,
    clock: systemClock,
  });
  return { verify: (token: string) => verifier.verify(token), authUrl: settings.COFFER_KEYSTONE_URL };
}
