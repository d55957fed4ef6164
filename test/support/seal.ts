import { createSeal } from "#core/seal";

/** The seal of every installation that tests make. */
export const testSeal = createSeal(Buffer.alloc(32, 8));
