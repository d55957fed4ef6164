import { createHash } from "node:crypto";

/** Seeded randomness: the same seed, the same numbers. */
export function seeded(seed: string) {
  let count = 0;
  const bytes = () => createHash("sha256").update(`${seed}:${count++}`).digest();
  const below = (limit: number) => Number(bytes().readBigUInt64BE() % BigInt(limit));
  return { below, pick: <T>(from: readonly T[]): T => from[below(from.length)]! };
}
