import { createSeal } from "#core/seal";
import { openDatabase } from "#functions/aws/clients";
import { environmentOf } from "#functions/aws/environment";
import { behindGateway } from "#functions/aws/gateway";
import { createGuestApp } from "#functions/guest/app";

const environment = environmentOf("guest", process.env);
const ROTATE_AFTER_SECONDS = 86_400;

/** API Gateway -> what agents call. */
export const handler = behindGateway(
  createGuestApp({
    seal: createSeal(Buffer.from(environment.COFFER_SEAL_KEY, "hex")),
    db: openDatabase(environment.DATABASE_URL),
    authority: { certificate: environment.COFFER_CA_CERTIFICATE, key: environment.COFFER_CA_KEY },
    // Step Functions cannot be woken inside a wait; its waits are short instead.
    wake: () => {},
    pollSeconds: environment.COFFER_GUEST_POLL_SECONDS,
    rotateAfterSeconds: ROTATE_AFTER_SECONDS,
    ...(environment.COFFER_DOORBELL_URL && {
      doorbell: {
        url: environment.COFFER_DOORBELL_URL,
        pingSeconds: environment.COFFER_DOORBELL_PING_SECONDS,
        pollSeconds: environment.COFFER_DOORBELL_POLL_SECONDS,
      },
    }),
  }),
);
