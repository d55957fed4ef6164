import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { factsOf } from "#core/parameter/index";
import { refusedBecause, refusedNames } from "#core/parameter/postgresql/refused";
import { generated, settable } from "#test/parameter/facts";
import { troveParameters } from "#test/parameter/trove";
import { startedEngine, type Rig } from "#test/support/engine";

const majors = ["16", "17", "18"];
const rigs = new Map<string, Rig>();
const rigOf = (major: string) => {
  const rig = rigs.get(major);
  if (!rig) throw new Error(`no server ${major}`);
  return rig;
};
beforeAll(async () => {
  for (const major of majors) rigs.set(major, await startedEngine(major));
});
afterAll(async () => {
  for (const rig of rigs.values()) await rig.close();
});

describe.each(majors)("PostgreSQL %s", (major) => {
  // `npm run parameters` writes the file.
  test("the parameters in the source are those that the running server tells", async () => {
    await expect(await generated(rigOf(major), major)).toMatchFileSnapshot(`../../core/parameter/postgresql/${major}.ts`);
  });

  test("what the server keeps for its own developers is refused", async () => {
    const developers = (await settable(rigOf(major))).filter(({ category }) => category === "Developer Options");
    expect(developers.length).toBeGreaterThan(10);
    expect(developers.filter(({ name }) => refusedBecause(name) === undefined)).toEqual([]);
  });

  test("every parameter that Trove offers is offered, refused with a reason, or unknown to this server", async () => {
    const known = new Set((await settable(rigOf(major))).map(({ name }) => name));
    const offered = new Set(factsOf("postgresql", major).map(({ name }) => name));
    const missing = troveParameters.filter((name) => !offered.has(name) && refusedBecause(name) === undefined && known.has(name));
    expect([troveParameters.length, missing]).toEqual([183, []]);
    expect(offered.size).toBeGreaterThan(183);
  });
});

test("every refused name is one that some server has, or once had", async () => {
  const known = new Set((await Promise.all(majors.map((major) => settable(rigOf(major))))).flat().map(({ name }) => name));
  const gone = ["db_user_namespace", "force_parallel_mode", "promote_trigger_file", "stats_temp_directory", "vacuum_defer_cleanup_age"];
  expect(refusedNames().filter((name) => !known.has(name) && !gone.includes(name))).toEqual([]);
});
