import { Ajv2020 } from "ajv/dist/2020.js";
import { openapi, pathOf } from "#functions/api/openapi/index";
import { match } from "#functions/api/router";
import { routes, type RouteKey } from "#functions/api/routes";

interface Response {
  $ref?: string;
  content?: Record<string, { schema: object }>;
}
const document = openapi("https://dbaas.example");
const responses = document.components.responses as Record<string, Response>;
// Formats are the contract suite's to check, by the same schemas in zod.
const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
ajv.addSchema(document, "openapi");

const pointer = (...parts: string[]) => parts.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

/** Where in the document the response to a request stands; a path that is no route has every refusal. */
function responseAt(key: RouteKey | undefined, status: number): { at: string; response: Response } | undefined {
  const named = ([name, response]: [string, Response]) => ({ at: pointer("components", "responses", name), response });
  if (!key) return Object.entries(responses).filter(([name]) => JSON.stringify(document.components.schemas[name as keyof object]).includes(`"const":${status}`)).map(named)[0];
  const path = pathOf(key);
  const method = key.slice(0, key.indexOf(" ")).toLowerCase();
  const operation = document.paths[path]?.[method] as { responses: Record<string, Response> } | undefined;
  const found = operation?.responses[String(status)];
  if (!found?.$ref) return found && { at: pointer("paths", path, method, "responses", String(status)), response: found };
  const name = found.$ref.split("/").at(-1) ?? "";
  return named([name, responses[name] ?? {}]);
}

const unversioned = Object.keys(routes).filter((key) => routes[key as RouteKey].who === "nobody") as RouteKey[];

/** Throws when a reply is not what `/openapi.json` says of it: its status, or its body. `path` as it was sent, without the query. */
export function conform(method: string, path: string, reply: { status: number; text: string; headers: Headers }): void {
  const [, head, , ...segments] = path.split("/");
  // The version's own document is described by the list of versions.
  if (/^\/v1\.0\/?$/.test(path) && reply.status === 200) return;
  const key = head === "v1.0" ? match(method, segments)?.key : unversioned.find((one) => one === `${method} ${path}` || (one === "GET /" && path === "/"));
  const line = `${method} ${path} -> ${reply.status}`;
  const found = responseAt(key, reply.status);
  if (!found) throw new Error(`${line}: /openapi.json has no such status for ${key ?? "an unknown path"}: ${reply.text}`);
  // A reply to HEAD has a body that is not sent.
  const type = method === "HEAD" ? undefined : Object.keys(found.response.content ?? {})[0];
  if ((type === undefined) !== (reply.text === "")) throw new Error(`${line}: /openapi.json says ${type ?? "no body"}: ${reply.text}`);
  if (type === undefined) return;
  if (reply.headers.get("content-type")?.split(";")[0] !== type) throw new Error(`${line}: /openapi.json says ${type}, not ${reply.headers.get("content-type")}`);
  if (type !== "application/json") return;
  const $ref = `openapi#${found.at}${pointer("content", type, "schema")}`;
  const check = ajv.getSchema($ref) ?? ajv.compile({ $ref });
  if (!check(JSON.parse(reply.text))) throw new Error(`${line}: not as /openapi.json says: ${ajv.errorsText(check.errors)}: ${reply.text}`);
}
