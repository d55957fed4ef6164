import type { Workshop } from "#core/workflow/context";

export type Drivers = Pick<Workshop, "compute" | "network" | "volumes">;

/** The clouds whose drivers are in the bundles, by the name that `COFFER_CLOUD` gives. */
const clouds: Record<string, () => Drivers> = {};

/**
 * The drivers of the cloud where instances live; the one place that chooses them for Lambda.
 * Throws at a cold start when there is none of that name: an installation that cannot make a
 * machine should fail when it is deployed. Drivers that only make sense on one machine, or in a
 * test, never come in here.
 */
export function openCloud(name: string): Drivers {
  const open = clouds[name];
  if (open) return open();
  const known = Object.keys(clouds);
  throw new Error(`COFFER_CLOUD: there are no drivers for '${name}'; this build knows ${known.length > 0 ? known.join(", ") : "none yet"}.`);
}
