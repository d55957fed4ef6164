import { systemClock } from "#core/clock";
import { configOf } from "#core/config";
import { createTokenVerifier } from "#core/identity/keystone";
import { createSeal } from "#core/seal";
import { createApp } from "#functions/api/app";
import { openDatabase, openDoorbell, openPublisher } from "#functions/aws/clients";
import { environmentOf } from "#functions/aws/environment";
import { behindGateway, carries } from "#functions/aws/gateway";
import { callerOf } from "#functions/aws/signed";

const environment = environmentOf("api", process.env);
const caller = callerOf(process.env);
const authUrl = environment.COFFER_KEYSTONE_URL;
const verifier = createTokenVerifier({
  url: authUrl,
  username: environment.COFFER_KEYSTONE_USERNAME,
  password: environment.COFFER_KEYSTONE_PASSWORD,
  projectName: environment.COFFER_KEYSTONE_PROJECT,
  userDomainName: environment.COFFER_KEYSTONE_USER_DOMAIN,
  projectDomainName: environment.COFFER_KEYSTONE_PROJECT_DOMAIN,
  clock: systemClock,
});

/** API Gateway -> the Trove API. */
export const handler = behindGateway(
  createApp({
    seal: createSeal(Buffer.from(environment.COFFER_SEAL_KEY, "hex")),
    db: openDatabase(environment.DATABASE_URL),
    verifier: { verify: (token) => verifier.verify(token), authUrl },
    publisher: openPublisher(environment.COFFER_QUEUE_URL, caller),
    doorbell: openDoorbell(environment.COFFER_DOORBELL_ENDPOINT, caller),
    config: configOf(process.env),
    carries,
    ...(environment.COFFER_PUBLIC_ENDPOINT && { publicEndpoint: environment.COFFER_PUBLIC_ENDPOINT }),
  }),
);
