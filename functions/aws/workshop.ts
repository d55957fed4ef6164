import type { Workshop } from "#core/workflow/context";
import { silent } from "#functions/aws/clients";
import { openCloud } from "#functions/aws/cloud";
import type { Environment } from "#functions/aws/environment";

/** What workflows and sweeps work with, in the cloud. */
export const openWorkshop = (environment: Environment<"workflow"> | Environment<"cron">): Workshop => ({
  ...openCloud(environment.COFFER_CLOUD),
  installation: environment.COFFER_INSTALLATION,
  doorbell: silent,
  guestUrl: environment.COFFER_GUEST_URL,
  ca: environment.COFFER_GUEST_CA ?? "",
  rootKey: Buffer.from(environment.COFFER_ROOT_KEY, "hex"),
});
