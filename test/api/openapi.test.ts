import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { handlers } from "#functions/api/handlers";
import { openapi, pathOf } from "#functions/api/openapi/index";
import { queries } from "#functions/api/openapi/parameters";
import { routes, type Route, type RouteKey } from "#functions/api/routes";
import { conform } from "#test/api/conforms";
import { fixed } from "#test/api/contract";
import { nobody, startApi, type Api } from "#test/api/rig";

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

interface Operation {
  operationId: string;
  security?: object[];
  parameters: { name: string; in: string }[];
  requestBody?: { required: boolean; content: Record<string, { schema: { required?: string[]; properties?: Record<string, object>; anyOf?: { required: string[] }[] } }> };
  responses: Record<string, object>;
}
const document = openapi("https://dbaas.example");
const plain = (value: object) => JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
const keys = Object.keys(routes) as RouteKey[];
const operationOf = (key: RouteKey) => document.paths[pathOf(key)]?.[key.slice(0, key.indexOf(" ")).toLowerCase()] as Operation;

test("the document is served without a token, names where it is, and is the same for everybody", async () => {
  const reply = await api.ask(undefined, "GET /openapi.json", { headers: { host: "dbaas.example", "x-forwarded-proto": "https" } });
  expect([reply.status, reply.headers.get("content-type")]).toEqual([200, "application/json"]);
  expect(reply.json).toEqual(plain(document));
  expect((await api.ask(undefined, "POST /openapi.json")).status).toBe(404);
});

test("the document is valid OpenAPI 3.1", async () => {
  const result = await new Validator().validate(plain(document));
  expect([result.valid, result.errors]).toEqual([true, undefined]);
  expect((await new Validator().validate(plain({ ...document, info: {} }))).valid).toBe(false);
});

test("every route is an operation of its own, and there is no other", () => {
  const ids = keys.map((key) => operationOf(key).operationId);
  expect(new Set(ids).size).toBe(keys.length);
  expect(Object.values(document.paths).flatMap((methods) => Object.keys(methods))).toHaveLength(keys.length);
});

test("an operation names the parameters of its path and, of its query, exactly what its handler reads", async () => {
  const handled = Object.entries(handlers) as [RouteKey, NonNullable<(typeof handlers)[RouteKey]>][];
  const spy = vi.spyOn(URLSearchParams.prototype, "get");
  /** Only what is asked of a request of this test: others read their own addresses. */
  const read = () => [...new Set(spy.mock.calls.flatMap(([name], at) => ((spy.mock.contexts[at] as URLSearchParams | undefined)?.has("probe") ? name : [])))].sort();
  const wrong: unknown[] = [];
  const instance = await api.active({ databases: [{ name: "app" }], users: [{ name: "alice", password: "secret" }] });
  const group = (await api.ask("member", "POST /configurations", { body: { configuration: { name: "tuned", values: {} } } })).json as unknown as { configuration: { id: string } };
  const ping = (await api.ask("admin", "POST /modules", { body: { module: { name: "m", module_type: "ping", contents: "bWVzc2FnZT1oaQ==" } } })).json as unknown as { module: { id: string } };
  await api.ask("admin", `POST /instances/${instance}/modules`, { body: { modules: [{ id: ping.module.id }] } });
  try {
    for (const [key] of handled.filter(([key]) => key.startsWith("GET "))) {
      spy.mockClear();
      const id = key.includes("/configurations") ? group.configuration.id : key.includes("/modules/") ? ping.module.id : key.includes("/flavors/") ? "1" : instance;
      await api.ask("admin", `${key.replaceAll(/\{(\w+)\}/g, (_, name: string) => (name === "id" ? id : (fixed[name] ?? nobody)))}?probe=1`);
      const { parameters } = operationOf(key);
      const named = parameters.filter((one) => one.in === "query").map(({ name }) => name);
      if (named.sort().join() !== read().join()) wrong.push({ key, named, read: read() });
    }
  } finally {
    spy.mockRestore();
  }
  expect(wrong).toEqual([]);
  for (const key of keys) {
    const inPath = operationOf(key).parameters.filter((one) => one.in === "path").map(({ name }) => `{${name}}`);
    expect([key, inPath]).toEqual([key, pathOf(key).match(/\{\w+\}/g) ?? []]);
  }
  expect(Object.keys(queries).sort()).toEqual([...new Set(keys.flatMap((key): readonly string[] => (routes[key] as Route).query ?? []))].sort());
});

test("an operation has a body where its handler parses one, by that very schema", () => {
  for (const key of keys) {
    const { requestBody } = operationOf(key);
    const { never }: Route = routes[key];
    const expected = /^(POST|PUT|PATCH) /.test(key) && handlers[key] !== undefined && never !== true;
    if (expected || requestBody) expect([key, requestBody !== undefined]).toEqual([key, handlers[key]?.body !== undefined]);
    if (expected) expect([key, requestBody !== undefined]).toEqual([key, true]);
  }
  const create = operationOf("POST /instances").requestBody?.content["application/json"]?.schema;
  expect([create?.required, Object.keys(create?.properties ?? {})]).toEqual([["instance"], ["instance"]]);
  const actions = operationOf("POST /instances/{id}/action").requestBody?.content["application/json"]?.schema;
  expect(actions?.anyOf?.map(({ required }) => required[0])).toEqual(expect.arrayContaining(["restart", "resize", "reset_status"]));
});

test("every operation with a token has Trove's refusals, and success unless the route is not offered", () => {
  for (const key of keys) {
    const { who, status, never }: Route = routes[key];
    const { responses, security } = operationOf(key);
    if (who === "nobody") expect([key, security]).toEqual([key, []]);
    else expect([key, Object.keys(responses)]).toEqual([key, expect.arrayContaining(["400", "401", "403", "404", "413", "500", "501", "503"])]);
    expect([key, String(status) in responses]).toEqual([key, status === 501 || who === "nobody" || (handlers[key] !== undefined && never !== true)]);
  }
});

test("a reply that the document does not describe is found: a status, a member, a body too many", () => {
  const reply = (status: number, body: unknown) => ({ status, text: body === undefined ? "" : JSON.stringify(body), headers: new Headers({ "content-type": "application/json" }) });
  const flavors = { flavors: [] };
  expect(() => conform("GET", "/v1.0/p1/flavors", reply(200, flavors))).not.toThrow();
  expect(() => conform("GET", "/v1.0/p1/flavors", reply(202, flavors))).toThrow(/no such status/);
  expect(() => conform("GET", "/v1.0/p1/flavors", reply(200, { ...flavors, links: [] }))).toThrow(/additional properties/);
  expect(() => conform("DELETE", "/v1.0/p1/instances/1", reply(202, {}))).toThrow(/no body/);
  expect(() => conform("GET", "/v1.0/p1/flavors", reply(404, { itemNotFound: { code: 400, message: "" } }))).toThrow(/const/);
});
