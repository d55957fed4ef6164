import * as z from "zod";
import { Config } from "#core/config";

/**
 * What a deployment is told, from the environment of `sst deploy` (SST reads `.env` and
 * `.env.<stage>` into it). Nothing here is secret; secrets are `sst secret set`.
 */
const Settings = z.object({
  /** Identity root, with or without `/v3`; reachable from the VPC or the internet. */
  COFFER_KEYSTONE_URL: z.url(),
  /** Which cloud the instances live in; see `functions/aws/cloud.ts`. */
  COFFER_CLOUD: z.string().min(1),
  /** Where alarms are mailed to; absent, they only show in the console. */
  COFFER_ALARM_EMAIL: z.email().optional(),
});
export type Settings = z.infer<typeof Settings>;

/** Parses what the deployment is told; an Error names every variable that is wrong, and the rule. */
export function settingsOf(given: Record<string, string | undefined>): Settings {
  const parsed = Settings.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new Error(`The deployment is not configured. ${parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ")}`);
}

const passed = [
  ...Object.keys(Config.shape),
  "COFFER_KEYSTONE_USERNAME",
  "COFFER_KEYSTONE_PROJECT",
  "COFFER_KEYSTONE_USER_DOMAIN",
  "COFFER_KEYSTONE_PROJECT_DOMAIN",
  "COFFER_PUBLIC_ENDPOINT",
];

/** Settings of the API that have a default: handed on where the deployment gives them. */
export const optionsOf = (given: Record<string, string | undefined>) => chosen(given, passed);

/** Those of them that hold for everything, the sweep too. */
export const configOptionsOf = (given: Record<string, string | undefined>) => chosen(given, Object.keys(Config.shape));

const chosen = (given: Record<string, string | undefined>, keys: string[]): Record<string, string> =>
  Object.fromEntries(keys.flatMap((key) => (given[key] === undefined ? [] : [[key, given[key]]])));
