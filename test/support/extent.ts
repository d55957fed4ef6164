/**
 * How much of what repeats itself is run. In CI (`CI=1`) all of it; elsewhere the part that is worth its time before every commit, always the
 * same: one version of an engine, and of each group of like cases one, another from group to group.
 */
const whole = Boolean(process.env["CI"]);

/** Versions of PostgreSQL on which suites of the engine are repeated. */
export const majors = whole ? ["16", "17", "18"] : ["17"];

/** All groups' cases, or one of each. */
export const extent = <T>(groups: T[][]): T[] => groups.flatMap((group, at) => (whole ? group : group.slice(at % group.length, (at % group.length) + 1)));
