import { systemClock } from "#core/clock";
import { createFakeCloud } from "#core/driver/fake/index";
import { systemRandom } from "#core/id";
import type { Drivers } from "#functions/aws/cloud";

/** Stands for `functions/aws/cloud` in bundles of tests: a cloud in the memory of the function's process. */
export function openCloud(): Drivers {
  const { compute, network, volumes } = createFakeCloud({ random: systemRandom, clock: systemClock });
  return { compute, network, volumes };
}
