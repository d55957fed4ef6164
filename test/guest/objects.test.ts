import { createHash, randomBytes } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import { Hono } from "hono";
import { systemClock } from "#core/clock";
import { createLocalObjects } from "#core/driver/index";
import { AppError } from "#core/error";
import { bearer, type Grant } from "#core/guest/grant";
import type { ObjectList } from "#core/guest/protocol";
import { createGuestObjects } from "#functions/guest/objects";
import { listen } from "#functions/node/listen";
import { scratch } from "#test/guest/agent-rig";

const key = randomBytes(32);
const place = { projectId: "p", container: "backups", prefix: "backups/one" };
const grant: Grant = { place, methods: ["GET", "HEAD", "PUT"], mostBytes: 2_000_000, until: Date.now() + 60_000 };

async function endpoint() {
  const store = createLocalObjects({ root: await scratch(), clock: systemClock });
  const app = new Hono();
  app.route("/guest/v1", createGuestObjects({ store, key, clock: systemClock }));
  const statuses: Partial<Record<AppError["code"], 400 | 401 | 403 | 413>> = { unauthorized: 401, forbidden: 403, badRequest: 400, overLimit: 413 };
  app.onError((error, c) => c.json({ error: error.message }, (error instanceof AppError && statuses[error.code]) || 500));
  const listening = await listen({ port: 0, setting: "-", fetch: app.fetch });
  onTestFinished(() => listening.close());
  const root = `http://127.0.0.1:${listening.port}/guest/v1/objects`;
  return {
    store,
    send: (path: string, { given = grant, authorization = bearer(key, given), ...init }: RequestInit & { given?: Grant; authorization?: string } = {}) => fetch(`${root}/${path}`, { ...init, headers: { authorization, ...(init.headers as Record<string, string>) } }),
  };
}

test("an object goes in and comes out as it was; it is listed under its name, in pages", async () => {
  const { send } = await endpoint();
  const content = randomBytes(1_500_000);
  expect((await send("p/backups/backups/one/part-00000001", { method: "PUT", body: content })).status).toBe(201);
  await send("p/backups/backups/one/a/b", { method: "PUT", body: "x" });
  const read = await send("p/backups/backups/one/part-00000001");
  expect(createHash("md5").update(Buffer.from(await read.arrayBuffer())).digest("hex")).toBe(createHash("md5").update(content).digest("hex"));
  const head = await send("p/backups/backups/one/part-00000001", { method: "HEAD" });
  expect([head.status, head.headers.get("content-length")]).toEqual([200, "1500000"]);
  expect((await send("p/backups/backups/one/none")).status).toBe(404);
  expect(await (await send("p/backups/backups/one?list")).json()).toEqual({ objects: [{ name: "a/b", bytes: 1 }, { name: "part-00000001", bytes: 1_500_000 }] });
  expect(((await (await send("p/backups/backups/one?list&after=a/b")).json()) as ObjectList).objects).toHaveLength(1);
});

test.each<[string, string, RequestInit & { given?: Grant; authorization?: string }, number]>([
  ["without a grant", "p/backups/backups/one/x", { authorization: "" }, 401],
  ["with a grant of another key", "p/backups/backups/one/x", { authorization: bearer(randomBytes(32), grant) }, 401],
  ["with a grant that is over", "p/backups/backups/one/x", { given: { ...grant, until: Date.now() - 1 } }, 401],
  ["with a grant that was changed", "p/backups/backups/two/x", { authorization: bearer(key, grant).replace(/ .*\./, ` ${Buffer.from(JSON.stringify({ ...grant, place: { ...place, prefix: "backups/two" } })).toString("base64url")}.`) }, 401],
  ["for another prefix", "p/backups/backups/two/x", {}, 403],
  ["for a prefix that only begins alike", "p/backups/backups/one2/x", {}, 403],
  ["for another container", "p/others/backups/one/x", {}, 403],
  ["for another project", "q/backups/backups/one/x", {}, 403],
  ["with a way up in its name", "p/backups/backups/one/%2e%2e/two/x", {}, 403],
  ["with a way up in a part", "p/backups/backups/one/..%2Ftwo%2Fx", {}, 400],
  ["to write with a grant for reading", "p/backups/backups/one/x", { method: "PUT", body: "x", given: { ...grant, methods: ["GET"] } }, 403],
  ["to delete", "p/backups/backups/one/x", { method: "DELETE" }, 403],
  ["to write more than is granted", "p/backups/backups/one/x", { method: "PUT", body: "x".repeat(2_000_001) }, 413],
])("a request %s is refused", async (_, path, init, status) => {
  const { send, store } = await endpoint();
  expect((await send(path, init)).status).toBe(status);
  expect((await store.list({ projectId: "p", name: "backups" }, { limit: 10 }, { signal: new AbortController().signal })) ?? []).toEqual([]);
});
