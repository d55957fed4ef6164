import { benchBurst } from "#test/bench/burst";
import { benchCold } from "#test/bench/cold";
import { benchCost } from "#test/bench/cost/index";
import { benchApi } from "#test/bench/http";
import { benchLife } from "#test/bench/life";
import { benchLists } from "#test/bench/lists";

const benches: Record<string, (directory: string) => Promise<void>> = { api: benchApi, lists: benchLists, cold: benchCold, life: benchLife, burst: benchBurst, cost: benchCost };

/** `npm run bench`: all of them; `npm run bench -- api`: one. Figures are ratios against a floor measured in the same run. */
export async function main(directory: string, wanted: string[]): Promise<void> {
  const unknown = wanted.find((name) => !benches[name]);
  if (unknown) throw new Error(`no bench '${unknown}'; there are ${Object.keys(benches).join(", ")}`);
  for (const [name, bench] of Object.entries(benches)) {
    if (wanted.length === 0 || wanted.includes(name)) await bench(directory);
  }
}
