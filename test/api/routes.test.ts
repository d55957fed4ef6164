import { afterAll, beforeAll, expect, test } from "vitest";
import { handlers } from "#functions/api/handlers";
import { match } from "#functions/api/router";
import { aliases, routes, type Route, type RouteKey } from "#functions/api/routes";
import { like, nobody, startApi, type Api } from "#test/api/rig";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const keys = Object.keys(routes) as RouteKey[];
const tenant = keys.filter((key) => routes[key].who !== "nobody");
const line = (key: string, project = "p1") => key.replace("{project}", project).replace(/\{\w+\}/g, nobody);

/** Bodies do not belong to GET and DELETE. */
const emptyBody = (key: string) => (/^(GET|DELETE)/.test(key) ? {} : { body: {} });

test("the table holds the contract's 102 routes, each once", () => {
  const numbers = keys.map((key) => routes[key].no).filter((no) => no > 0);
  expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: 102 }, (_, at) => at + 1));
});

test("every row is found by a path like its own", () => {
  for (const key of tenant) {
    const [method = "", path = ""] = line(key).split(" ");
    expect(match(method, path.split("/").slice(1))?.key).toBe(key);
  }
  for (const [pattern, key] of Object.entries(aliases)) {
    const [method = "", path = ""] = line(pattern).split(" ");
    expect(match(method, path.split("/").slice(1))?.key).toBe(key);
  }
});

test("a row nobody serves answers 501 in Trove's envelope and names the route", async () => {
  const waiting = tenant.filter((key) => !handlers[key]);
  for (const key of waiting) {
    const reply = await api.ask("admin", line(key), emptyBody(key));
    expect([key, reply.status, reply.json]).toEqual([key, 501, { notImplemented: { code: 501, message: `${key} is not available in this installation.` } }]);
  }
});

test("a route for administrators is a 401 for members if it is below /mgmt, else a 403", async () => {
  for (const key of tenant) {
    const { who }: Route = routes[key];
    if (who !== "admin" && who !== "admin!") continue;
    const reply = await api.ask("member", line(key), emptyBody(key));
    expect([key, reply.status, Object.keys(reply.json)[0]]).toEqual([key, who === "admin" ? 403 : 401, who === "admin" ? "forbidden" : "unauthorized"]);
  }
});

test("no route answers a foreign object, a missing object or an empty body with 500", async () => {
  for (const key of tenant) {
    for (const person of ["member", "admin", "reader"] as const) {
      const reply = await api.ask(person, line(key, "ops"), emptyBody(key));
      expect([key, person, reply.text]).toEqual([key, person, expect.not.stringContaining("instanceFault") as string]);
    }
  }
});

test("quotas of another project are for administrators", async () => {
  const reply = await api.ask("member", "GET /mgmt/quotas/p2");
  expect([reply.status, reply.text]).toEqual([403, like(/forbidden/)]);
});
