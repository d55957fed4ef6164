import * as z from "zod";

const count = (fallback: number) => z.coerce.number().int().min(-1).default(fallback);
/** Not shorter than the sweep's own pace. */
const period = (fallback: number) =>
  z.coerce
    .number()
    .int()
    .refine((seconds) => seconds === 0 || (seconds >= 60 && seconds <= 31 * 86_400), "must be 0 or from 60 to 2678400")
    .default(fallback);

/**
 * Everything the API, the workflows and the sweeps can be told, parsed once at start and frozen.
 * Defaults are Trove's (contract §7.1). The only place that reads the environment is `configOf`'s
 * caller in a composition root.
 */
export const Config = z.object({
  COFFER_REGION: z.string().default("RegionOne"),
  COFFER_DEFAULT_DATASTORE: z.string().default("postgresql"),
  COFFER_MAX_INSTANCES: count(10),
  COFFER_MAX_RAM_MB: count(-1),
  COFFER_MAX_VOLUMES_GB: count(40),
  COFFER_MAX_BACKUPS: count(50),
  /** A create may go by a catalogue that this process read so long ago. */
  COFFER_CATALOGUE_MS: z.coerce.number().int().min(0).default(1000),
  /** Largest volume one instance may ask for, GB. */
  COFFER_MAX_VOLUME_SIZE_GB: z.coerce.number().int().min(1).default(10),
  COFFER_PAGE_SIZE: z.coerce.number().int().min(1).max(1000).default(20),
  /** A guest that is heard of this much later than it was told to report shows operating_status ERROR. */
  COFFER_HEARTBEAT_STALE_SECONDS: z.coerce.number().min(1).default(90),
  /** How long a reply waits for the guest where the contract says the work is done before it. */
  COFFER_GUEST_WAIT_MS: z.coerce.number().min(0).default(15_000),
  /** Requests of one project per minute, of each of GET, POST, PUT and DELETE, over all processes. */
  COFFER_HTTP_RATE_PER_MINUTE: z.coerce.number().int().min(1).default(200),
  /** Every instance is told of once in so many seconds (`trove.instance.exists`); 0 = never. */
  COFFER_EXISTS_SECONDS: period(3600),
  /** As is what every project has in use (`dbaas.quota`). */
  COFFER_QUOTA_EVENTS_SECONDS: period(0),
});
export type Config = Readonly<z.infer<typeof Config>>;

/** Parses settings; a bad one is named with its rule. Unknown keys are ignored. */
export function configOf(environment: Record<string, string | undefined>): Config {
  const parsed = Config.safeParse(environment);
  if (parsed.success) return Object.freeze(parsed.data);
  const [issue] = parsed.error.issues;
  throw new Error(`${issue?.path.join(".") ?? "configuration"}: ${issue?.message ?? "invalid"}`);
}
