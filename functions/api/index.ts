import { configOf } from "#core/config";
import { createSeal } from "#core/seal";
import { createApp } from "#functions/api/app";
import { openDatabase, openDoorbell, openPublisher } from "#functions/aws/clients";
import { environmentOf } from "#functions/aws/environment";
import { behindGateway, carries } from "#functions/aws/gateway";
import { openIdentity } from "#functions/aws/identity";
import { callerOf } from "#functions/aws/signed";

const environment = environmentOf("api", process.env);
const caller = callerOf(process.env);

/** API Gateway -> the Trove API. */
export const handler = behindGateway(
  createApp({
    seal: createSeal(Buffer.from(environment.COFFER_SEAL_KEY, "hex")),
    db: openDatabase(environment.DATABASE_URL),
    verifier: openIdentity(environment),
    publisher: openPublisher(environment.COFFER_QUEUE_URL, caller),
    doorbell: openDoorbell(environment.COFFER_DOORBELL_ENDPOINT, caller),
    config: configOf(process.env),
    carries,
    ...(environment.COFFER_PUBLIC_ENDPOINT && { publicEndpoint: environment.COFFER_PUBLIC_ENDPOINT }),
  }),
);
