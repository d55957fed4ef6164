import * as z from "zod";
import { handlers } from "#functions/api/handlers";
import { parametersOf } from "#functions/api/openapi/parameters";
import { faultSchemas, responses, responsesOf } from "#functions/api/openapi/responses";
import { replies, type Reply } from "#functions/api/replies";
import { routes, type Route, type RouteKey } from "#functions/api/routes";

/*
 * The API as an OpenAPI 3.1 document, made of the tables that serve it: `routes.ts`, the schemas that handlers parse
 * bodies with, and `replies.ts`. It is made when it is first asked for.
 */

/** Refinements that no JSON Schema can say are left out: the document allows a little more than a handler does. */
const schemaOf = (schema: z.ZodType, io: "input" | "output") =>
  Object.fromEntries(Object.entries(z.toJSONSchema(schema, { io, unrepresentable: "any" })).filter(([name]) => name !== "$schema" && name !== "~standard"));

const capital = (name: string) => name.charAt(0).toUpperCase() + name.slice(1);

/** What a reply looks like to members, and to administrators where they are told more. */
function replySchemas(): { schemas: Record<string, object>; refOf: (reply: Reply) => object } {
  const schemas: Record<string, object> = {};
  const refs = new Map<Reply, object>();
  for (const reply of Object.keys(replies) as Reply[]) {
    const [member, admin] = [schemaOf(replies[reply]({ admin: false }), "output"), schemaOf(replies[reply]({ admin: true }), "output")];
    const named = { [capital(reply)]: member, ...(JSON.stringify(member) !== JSON.stringify(admin) && { [`${capital(reply)}ForAdmin`]: admin }) };
    Object.assign(schemas, named);
    const found = Object.keys(named).map((name) => ({ $ref: `#/components/schemas/${name}` }));
    refs.set(reply, found.length === 1 ? (found[0] ?? {}) : { anyOf: found });
  }
  return { schemas, refOf: (reply) => refs.get(reply) ?? {} };
}

const whose: Record<Route["who"], string> = {
  nobody: "Needs no token.",
  any: "For any token of the project.",
  owner: "For tokens of the project that owns the object, and for administrators.",
  admin: "For administrators; others are refused with 403.",
  "admin!": "For administrators; others are refused with 401.",
};

/** Path of a route in the document, as clients write it. */
export const pathOf = (key: RouteKey): string => {
  const path = key.split(" ")[1] ?? "";
  return routes[key].who === "nobody" ? path : `/v1.0/{project_id}${path}`;
};

function operationOf(key: RouteKey, reply: object | undefined) {
  const [method = "", path = ""] = key.split(" ");
  const route: Route = routes[key];
  const handler = handlers[key];
  const offered = route.never !== true && (handler !== undefined || route.who === "nobody");
  const words = path.split(/\W+/).filter(Boolean);
  return {
    operationId: [method.toLowerCase(), ...words].join("_"),
    tags: [words[0] ?? "versions"],
    description: [whose[route.who], ...(offered ? [] : ["Always refused in this installation."])].join(" "),
    ...(route.who === "nobody" && { security: [] }),
    parameters: parametersOf(pathOf(key), route.query),
    ...(handler?.body && {
      requestBody: { required: route.body !== "optional", content: { "application/json": { schema: schemaOf(handler.body, "input") } } },
    }),
    responses: responsesOf(key, route, { offered, reply }),
  };
}

function make() {
  const { schemas, refOf } = replySchemas();
  const paths: Record<string, Record<string, object>> = {};
  for (const key of Object.keys(routes) as RouteKey[]) {
    const { reply }: Route = routes[key];
    const operation = operationOf(key, reply === undefined || reply === "text" ? undefined : refOf(reply));
    (paths[pathOf(key)] ??= {})[key.slice(0, key.indexOf(" ")).toLowerCase()] = operation;
  }
  return {
    openapi: "3.1.1",
    info: {
      title: "Coffer",
      version: "1.0",
      summary: "Database as a Service that speaks the OpenStack Trove API",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    security: [{ token: [] }],
    paths,
    components: {
      schemas: { ...schemas, ...faultSchemas },
      responses,
      securitySchemes: { token: { type: "apiKey", in: "header", name: "X-Auth-Token", description: "A token of Keystone, scoped to the project in the path." } },
    },
  };
}

let made: ReturnType<typeof make> | undefined;

/** The document, for clients that reach us at `<origin>`. */
export const openapi = (origin: string) => ({ ...(made ??= make()), servers: [{ url: origin }] });
