import type { Workshop } from "#core/workflow/context";
import { openDoorbell } from "#functions/aws/clients";
import { openCloud } from "#functions/aws/cloud";
import type { Environment } from "#functions/aws/environment";
import type { Caller } from "#functions/aws/signed";

/** A sweep rings nobody. */
type Given = (Environment<"workflow"> | Environment<"cron">) & { COFFER_DOORBELL_ENDPOINT?: string | undefined };

/** What workflows and sweeps work with, in the cloud. */
export const openWorkshop = (environment: Given, caller: Caller): Workshop => ({
  ...openCloud(environment.COFFER_CLOUD),
  installation: environment.COFFER_INSTALLATION,
  doorbell: openDoorbell(environment.COFFER_DOORBELL_ENDPOINT, caller),
  guestUrl: environment.COFFER_GUEST_URL,
  ca: environment.COFFER_GUEST_CA ?? "",
  rootKey: Buffer.from(environment.COFFER_ROOT_KEY, "hex"),
});
