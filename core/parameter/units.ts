const kB = 1024;
/** Bytes. */
const sizes: Record<string, number> = { B: 1, kB, MB: kB ** 2, GB: kB ** 3, TB: kB ** 4 };
/** Microseconds. */
const times: Record<string, number> = { us: 1, ms: 1e3, s: 1e6, min: 6e7, h: 3.6e9, d: 8.64e10 };

/** What one unit is worth, and of which kind; `8kB` is eight of `kB`. */
function worth(unit: string): { kind: "size" | "time"; factor: number } | undefined {
  const [, count = "", name = ""] = /^(\d*)([a-zA-Z]+)$/.exec(unit) ?? [];
  const [kind, base] = name in sizes ? (["size", sizes[name]] as const) : (["time", times[name]] as const);
  return base === undefined ? undefined : { kind, factor: Number(count || 1) * base };
}

/** The units that may stand behind a number where the server counts in `unit`. */
export const unitsLike = (unit: string): string[] => Object.keys(worth(unit)?.kind === "size" ? sizes : times);

/**
 * A value such as `256MB` or `1.5 h` in the server's own unit, not rounded; a plain number is in that
 * unit already. Undefined for anything else. The words are PostgreSQL's ("Numeric with Unit"), upper and lower case included.
 */
export function inUnit(value: string | number, unit: string | undefined): number | undefined {
  const [, number, given] = /^\s*([+-]?\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*$/.exec(String(value)) ?? [];
  if (number === undefined) return undefined;
  if (!given) return Number(number);
  const [from, to] = [worth(given), unit === undefined ? undefined : worth(unit)];
  if (!from || from.kind !== to?.kind) return undefined;
  return (Number(number) * from.factor) / to.factor;
}
