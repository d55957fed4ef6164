import { openDatabase, openDoorbell } from "#functions/aws/clients";
import { environmentOf } from "#functions/aws/environment";
import { callerOf } from "#functions/aws/signed";
import { awake } from "#functions/aws/wake";
import { createDoorbellHandler } from "#functions/doorbell/handler";

const environment = environmentOf("doorbell", process.env);

/** API Gateway (WebSocket API) -> who can be rung. */
export const handler = awake(
  createDoorbellHandler({ db: openDatabase(environment.DATABASE_URL), bell: openDoorbell(environment.COFFER_DOORBELL_ENDPOINT, callerOf(process.env)) }),
);
