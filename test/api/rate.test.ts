import { afterEach, beforeEach, expect, test } from "vitest";
import { systemRandom } from "#core/id";
import { createApp } from "#functions/api/app";
import { startApi, type Api } from "#test/api/rig";
import { movableClock } from "#test/support/clock";
import { testSeal } from "#test/support/seal";

const LIMIT = 40;
const SHARE = LIMIT / 20;

let api: Api;
let clock: ReturnType<typeof movableClock>;
beforeEach(async () => {
  clock = movableClock();
  api = await startApi({ settings: { COFFER_HTTP_RATE_PER_MINUTE: String(LIMIT) }, deps: { clock } });
});
afterEach(() => api.close());

/** Another process of the same API: nothing is shared but the database. */
function another() {
  const actor = { kind: "user", userId: "ann", projectId: "p1", roles: ["member"], isAdmin: false } as const;
  const app = createApp({
    db: api.db.app,
    verifier: { verify: () => Promise.resolve(actor), authUrl: "http://identity/v3" },
    publisher: { publish: () => Promise.resolve([]) },
    doorbell: { ring: () => Promise.resolve() },
    seal: testSeal,
    config: api.config,
    clock,
    random: systemRandom,
  });
  return async () => (await app.request("/v1.0/p1/flavors", { headers: { "x-auth-token": "member" } })).status;
}

const buckets = () => api.db.owner<{ method: string; tokens: number }[]>`select method, tokens from rate_bucket where project_id = 'p1' order by method`;

test("several processes share one limit; what they pass it by is less than a twentieth for each further one", async () => {
  const processes = [another(), another(), another(), another()];
  let passed = 0;
  for (let n = 0; n < LIMIT * 2; n++) if ((await processes[n % processes.length]?.()) === 200) passed++;
  expect(passed).toBeGreaterThanOrEqual(LIMIT - processes.length * SHARE);
  expect(passed).toBeLessThan(LIMIT + (processes.length - 1) * SHARE + SHARE);
});

test("over the minutes that follow no more passes than the limit of each", async () => {
  const processes = [another(), another(), another()];
  const minute = async () => {
    let passed = 0;
    for (let second = 0; second < 60; second++) {
      for (const ask of processes) for (let n = 0; n < 2; n++) if ((await ask()) === 200) passed++;
      clock.advance(1000);
    }
    return passed;
  };
  await minute();
  expect(await minute() + (await minute())).toBeLessThanOrEqual(2 * LIMIT + processes.length * SHARE);
});

test("a project that asks rarely writes nothing, and one that asks often a row per twentieth", async () => {
  const ask = () => api.ask("member", "GET /flavors");
  await ask();
  expect(await buckets()).toEqual([]);
  await ask();
  expect(await buckets()).toEqual([{ method: "GET", tokens: LIMIT - SHARE }]);
  await ask();
  expect(await buckets()).toEqual([{ method: "GET", tokens: LIMIT - SHARE }]);
});

test("limits show what is left for all processes, and when there is more", async () => {
  const other = another();
  for (let n = 0; n < LIMIT / 2; n++) await other();
  const show = async () => ((await api.ask("member", "GET /limits")).json as unknown as { limits: Record<string, unknown>[] }).limits;
  const seen = await show();
  expect(seen.map(({ verb, remaining }) => [verb, remaining])).toEqual([["ABSOLUTE", undefined], ["POST", LIMIT], ["PUT", LIMIT], ["DELETE", LIMIT], ["GET", LIMIT / 2 - 1]]);
  expect(seen.at(-1)?.nextAvailable).toBe("2026-01-01T00:00:00Z");
  for (let n = 0; n < LIMIT / 2 - 2; n++) await other();
  // This one takes the last; the bucket of this process alone is nearly full.
  expect((await show()).at(-1)).toMatchObject({ remaining: 0, nextAvailable: "2026-01-01T00:00:01Z" });
});

test("a refusal says when to come again, and coming then is no refusal", async () => {
  const ask = () => api.ask("member", "GET /flavors");
  let reply = await ask();
  for (let n = 0; n < LIMIT && reply.status === 200; n++) reply = await ask();
  expect([reply.status, Object.keys(reply.json)]).toEqual([413, ["overLimit"]]);
  clock.advance(Number(reply.headers.get("retry-after")) * 1000);
  expect((await ask()).status).toBe(200);
});
