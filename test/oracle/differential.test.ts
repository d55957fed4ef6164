import { afterAll, beforeAll, describe as group, expect, test } from "vitest";
import { allowances } from "#test/oracle/allowed";
import { differences, type Difference } from "#test/oracle/compare";
import type { Asked, Reply } from "#test/oracle/http";
import { startPair, type Pair, type Side, type Who } from "#test/oracle/pair";
import type { Step } from "#test/oracle/step";
import { life } from "#test/oracle/steps/index";

let pair: Pair;
let started: Pair | undefined;
beforeAll(async () => {
  started = pair = await startPair();
});
afterAll(() => started?.close());

/** What steps have kept, of each side. */
const known: Record<Side, Map<string, string>> = { ours: new Map(), theirs: new Map() };
const used = new Set<number>();
let asked = 0;
let held = false;

for (const [name, steps] of Object.entries(life)) {
  group(name, () => {
    steps.forEach((step, at) => {
      test(titleOf(step, at), () => play(step));
    });
  });
}

test("every allowed difference was seen", () => {
  expect(allowances.filter((_, at) => !used.has(at))).toEqual([]);
});

test("both servers were asked at least 400 times", () => {
  expect(asked).toBeGreaterThanOrEqual(400);
});

/**
 * How we refuse what the reference would carry out, and be in another state from then on: what a reader may not do
 * (Trove knows no such role, contract §1). Undefined for all else.
 */
function refusedHere([who, ask, , options = {}]: Step): [status: number, keys: string[]] | undefined {
  // Below /mgmt both refuse.
  return who === "reader" && !/^GET|\/mgmt/.test(ask) && !options.reads ? [403, ["forbidden"]] : undefined;
}

function titleOf([who, ask, body, options]: Step, at: number): string {
  const sent = options?.raw ?? (body === undefined ? "" : JSON.stringify(body));
  return `${at} ${who}: ${ask} ${sent.length > 160 ? `${sent.slice(0, 160)}...` : sent}`;
}

async function play(step: Step) {
  const [who, ask, body, options = {}] = step;
  const wanted = (side: Side): Asked => {
    const [method = "", path = ""] = fill(ask, side).split(" ");
    const sent: unknown = body === undefined ? undefined : JSON.parse(fill(JSON.stringify(body), side));
    return { method, path, body: sent, ...(options.raw !== undefined && { raw: options.raw }), ...(options.headers && { headers: options.headers }) };
  };
  const before = held;
  held = options.hold ?? false;
  if (held && !before) await pair.hold();
  pair.tick();
  const refused = refusedHere(step);
  if (refused) {
    const ours = await pair.ask("ours", who, wanted("ours"));
    expect([ours.status, Object.keys(ours.json as object)]).toEqual(refused);
    return;
  }
  // Not at once: where both wait for this process, one would wait for the other.
  const theirs = await pair.ask("theirs", who, wanted("theirs"));
  const ours = await pair.ask("ours", who, wanted("ours"));
  asked++;
  for (const [name, path] of Object.entries(options.save ?? {})) {
    known.ours.set(name, valueAt(ours, path));
    known.theirs.set(name, valueAt(theirs, path));
  }
  const accepted = !ask.startsWith("GET") && (ours.status < 300 || theirs.status < 300);
  if (!held && (before || accepted)) await pair.settle();
  const left = differences(ours, theirs, known, options).filter((one) => !isAllowed(who, ask, body, one));
  const told = left.map(({ at, ours, theirs }) => `${at}: ${theirs} -> ${ours}`);
  expect(told, `theirs ${theirs.text}\nours ${ours.text}\n`).toEqual([]);
}

/** `{name}` is what was kept under it, `{project}` the member's project. */
function fill(text: string, side: Side): string {
  return text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => (name.startsWith("project_") ? pair.projects[name.slice(8) as Who] : (known[side].get(name) ?? whole)));
}

function valueAt({ json, text }: Reply, path: string): string {
  let value: unknown = json;
  for (const part of path.split(".")) value = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[part] : undefined;
  if (typeof value !== "string") throw new Error(`no ${path} in ${text}`);
  return value;
}

function isAllowed(who: Who, ask: string, body: unknown, { at, ours, theirs }: Difference): boolean {
  const sent = `${who}: ${ask} ${body === undefined ? "" : JSON.stringify(body)}`;
  return allowances.some(({ asked: pattern, at: where, change }, index) => {
    const matches = pattern.test(sent) && where.test(at) && (change === undefined || change.test(`${theirs} -> ${ours}`));
    if (matches) used.add(index);
    return matches;
  });
}
