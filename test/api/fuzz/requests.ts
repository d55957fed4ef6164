import fc from "fast-check";
import { openapi, pathOf } from "#functions/api/openapi/index";
import { queries } from "#functions/api/openapi/parameters";
import { routes, type Route, type RouteKey } from "#functions/api/routes";
import { contract, fixed, type Row } from "#test/api/contract";
import type { Person } from "#test/api/rig";

/** A request as bytes, as far as HTTP lets one say it. */
export interface Sent {
  person: Person | undefined;
  method: string;
  /** With the query, encoded or not. */
  target: string;
  headers: Record<string, string>;
  /** Latin-1: one character is one byte. */
  body: string | undefined;
}

/** Ids of objects that there are, by what a path's `{id}` names. */
export interface Known {
  instance: string;
  foreign: string;
  group: string;
  module: string;
  backup: string;
}

/** What a path segment may be that is no name of anything; already encoded. */
const segments = [
  "%00", "%zz", "%", "%FF", "%ED%A0%80", "%C3%28", ".", "..", "%2e%2e", "%2F", "a%2Fb", "%25", "%3F", "a%40%25", "-1", "0", "1e9", "NaN", "null", "undefined",
  "9223372036854775808", "0".repeat(300), "x".repeat(8000), "%F0%9F%92%A9", "%E2%80%AE", "';--", "a.json", ".json", "__proto__", "constructor", "00000000-0000-0000-0000-000000000000", "", "*", "a@b@c", "a@%", "@", "%20", "%0A",
];
const words = [
  "", "0", "-1", "1", "2", "1.5", "1e3", "999999999999999", "99999999999999999999999", "NaN", "Infinity", "true", "false", "None", "null", "yes", "%00", "%zz", "%FF", "%ED%A0%80",
  "00000000-0000-0000-0000-000000000000", "x".repeat(5000), "%F0%9F%92%A9", "'", "%25", "a%26b", "%2B", "%0D%0A", "[]", "../..",
];
/** Values that stand where a schema does not expect them. */
const hostile = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom<unknown>(
    null, true, false, 0, -1, 1, 1.5, 2 ** 31, 2 ** 53, 1e308, -1e308, 1e-300, "", " ", "\0", "a\0b", "\ud800", "\udfff\ud800", "💩", "é".repeat(300), "x".repeat(256), "x".repeat(70_000), "%00", "../../etc/passwd",
    "1", "0x10", "9".repeat(40), "'; drop table instance; --", "${jndi}", "\u202e", "\r\nX: y", [], {}, [[]], [null], { __proto__: null, a: 1 }, JSON.parse('{"__proto__": {"admin": true}}'), { constructor: 1, toString: 2, length: -1 }, { "\0": 1 }, { "": "" },
    Array.from({ length: 1000 }, () => 0), Array.from({ length: 201 }, () => ({ name: "same" })), "00000000-0000-0000-0000-000000000000",
  ) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
);

interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema | false;
  anyOf?: Schema[];
  enum?: unknown[];
  const?: unknown;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
}

/** Mostly what a schema describes, and in every place now and then something else. `names` are known to mean something. */
function valueOf(schema: Schema, names: string[]): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 20, arbitrary: fitting(schema, names) }, { weight: 1, arbitrary: hostile });
}

function fitting(schema: Schema, names: string[]): fc.Arbitrary<unknown> {
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((one) => valueOf(one, names)));
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.const !== undefined) return fc.constant(schema.const);
  switch (schema.type) {
    case "object": {
      const members = fc.record(Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, one]) => [name, valueOf(one, names)])), { requiredKeys: [] });
      const needed = fc.record(Object.fromEntries((schema.required ?? []).map((name) => [name, valueOf(schema.properties?.[name] ?? {}, names)])));
      const more = fc.oneof({ weight: 4, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: fc.dictionary(fc.constantFrom("extra", "__proto__", "id", "", "work_mem", "max_connections", "archive_command"), hostile, { maxKeys: 2 }) });
      return fc.tuple(members, needed, more).map((parts) => Object.assign({}, ...parts) as unknown);
    }
    case "array":
      return fc.array(valueOf(schema.items || {}, names), { maxLength: 3 });
    case "string":
      // Lookaheads, which only addresses have, cannot be generated.
      if (schema.pattern?.includes("(?")) return fc.constantFrom("10.0.0.0/8", "127.0.0.1/32", "::1", "256.1.1.1", "0.0.0.0/0");
      return schema.pattern ? fc.oneof(fc.stringMatching(new RegExp(schema.pattern)), fc.constantFrom(...names.filter((name) => new RegExp(schema.pattern ?? "").test(name)), "n")) : fc.oneof(fc.constantFrom(...names), fc.string({ unit: "grapheme", maxLength: 20 }));
    case "integer":
    case "number":
      return fc.integer({ min: Math.max(schema.minimum ?? -2, -(2 ** 31)), max: Math.min(schema.maximum ?? 100, 1000) });
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    case undefined:
    default:
      return hostile;
  }
}

/** Text as the Latin-1 of its UTF-8, as `Sent.body` is. */
const bytes = (text: string) => Buffer.from(text).toString("latin1");
/** Lone surrogates stay escapes, so that they arrive as such. */
const json = (value: unknown) => bytes(JSON.stringify(value));

const rawBodies = fc.constantFrom(
  "", "null", "0", '"text"', "[]", "{", '{"a":', '{"instance":{"name":"n"', "[".repeat(200_000), '{"a":'.repeat(50_000), `${"[".repeat(100_000)}${"]".repeat(100_000)}`,
  '{"instance":{"name":"a"},"instance":{"name":"b","name":"c"}}', '{"restart":{},"restart":{}}', '\ufeff{}'.replace("\ufeff", "\u00ef\u00bb\u00bf"), "\xff\xfe\0{", "{'a':1}", "{}{}", "NaN", '{"a":1e999}', '{"\\u0000":1}', '{"__proto__":{"a":1}}', "\xed\xa0\x80", "a=b&c=d",
);

const document = openapi("https://dbaas.example");
const types = ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/json, text/html", ";", "x"];
const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "LOCK", "QUERY"];

const headers = fc.record(
  {
    "content-type": fc.constantFrom("application/json", ...types),
    "x-openstack-request-id": fc.constantFrom("req-", "x".repeat(4000), "req-00000000-0000-0000-0000-000000000000", "\xe9"),
    "x-forwarded-proto": fc.constantFrom("https", "gopher, https", ",", "\xff", "javascript:"),
    host: fc.constantFrom("dbaas.example", "dbaas.example", "dbaas.example", "localhost", "[::1", "a b", "x/y?z#w", "\xe9", "", "a:99999", "user@host"),
    accept: fc.constantFrom("text/html", "application/xml", "*/*;q=x"),
    expect: fc.constantFrom("100-continue"),
    "content-encoding": fc.constantFrom("gzip", "br"),
    "x-auth-token": fc.constantFrom("", "x".repeat(8000), "\xe9", "__proto__", "constructor"),
  },
  { requiredKeys: [] },
);

/** `{name}` of a path: what it should be, else what it should not. */
function segmentOf(key: RouteKey, name: string, known: Known): fc.Arbitrary<string> {
  const { at, of }: Row = contract[key];
  const own = known[of ?? "instance"];
  const ids = name === "id" && at?.id === undefined ? [own, own, known.foreign] : [at?.[name] ?? fixed[name] ?? known.module];
  return fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...ids) }, { weight: 1, arbitrary: fc.constantFrom(...segments) });
}

/** Requests near a route of the table: most are ones it may answer, with something wrong somewhere. */
export function requestsTo(key: RouteKey, known: Known): fc.Arbitrary<Sent> {
  const [method = ""] = key.split(" ");
  const route: Route = routes[key];
  const row: Row = contract[key];
  const path = pathOf(key);
  const parts = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name).filter((name) => name !== "project_id");
  const operation = document.paths[path]?.[method.toLowerCase()] as { requestBody?: { content: Record<string, { schema: Schema }> } };
  const schema = operation.requestBody?.content["application/json"]?.schema;
  const names = ["app", "alice", "%", "postgresql", "17", "17.10", "1", "2", "ping", "bWVzc2FnZT1oaQ==", "general", "work_mem", known.group, known.module, known.backup, known.instance, known.foreign, fixed.version ?? ""];
  const body = fc.oneof(
    { weight: 8, arbitrary: schema ? valueOf(schema, names).map(json) : hostile.map(json) },
    { weight: 2, arbitrary: fc.constant(row.body === undefined ? "{}" : json(row.body)) },
    { weight: 2, arbitrary: rawBodies },
    { weight: 1, arbitrary: fc.constantFrom(json(row.body ?? {})).chain((text) => fc.nat({ max: text.length }).map((end) => text.slice(0, end))) },
  );
  const wants = /^P/.test(method);
  return fc
    .record({
      person: fc.constantFrom<Person | undefined>(...Array<Person>(4).fill("member"), ...Array<Person>(4).fill("admin"), "reader", "other", undefined),
      method: fc.oneof({ weight: 12, arbitrary: fc.constant(method) }, { weight: 1, arbitrary: fc.constantFrom(...methods) }),
      segments: fc.tuple(...parts.map((name) => segmentOf(key, name, known))),
      project: fc.oneof({ weight: 20, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constantFrom(...segments) }),
      query: fc.array(fc.tuple(fc.oneof({ weight: route.query ? 8 : 0, arbitrary: fc.constantFrom(...(route.query ?? ["x"])) }, { weight: 2, arbitrary: fc.constantFrom(...Object.keys(queries), "x", "%zz", "__proto__") }), fc.constantFrom(...words)), { maxLength: wants ? 1 : 3 }),
      headers: fc.oneof({ weight: wants ? 8 : 3, arbitrary: fc.constant<Record<string, string>>({}) }, { weight: 1, arbitrary: headers }),
      body: wants ? fc.oneof({ weight: 20, arbitrary: body }, { weight: 1, arbitrary: fc.constant(undefined) }) : fc.oneof({ weight: 20, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: body }),
    })
    .map(({ person, method, segments, project, query, headers, body }) => {
      let at = 0;
      const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => (name === "project_id" ? (project ?? (person === "other" ? "p2" : person === "admin" ? "ops" : "p1")) : (segments[at++] ?? "")));
      const search = query.map(([name, value]) => `${name}=${value}`).join("&");
      return {
        person,
        method,
        target: search ? `${filled}?${search}` : filled,
        headers: { ...(person && { "x-auth-token": person }), ...(body !== undefined && { "content-type": "application/json" }), ...headers },
        body,
      };
    });
}
