import { faults } from "#functions/api/errors";
import type { Route, RouteKey } from "#functions/api/routes";

type Fault = keyof typeof faults;

const json = (schema: object) => ({ "application/json": { schema } });
const text = { "text/plain": { schema: { type: "string" } } };

const message = { code: { type: "integer" }, message: { type: "string" } };
const envelope = (name: string, members: object, required: string[]) => ({
  type: "object",
  properties: { [name]: { type: "object", properties: members, required, additionalProperties: false } },
  required: [name],
  additionalProperties: false,
});

/** Trove's envelope of each refusal (contract §4.1), by its name. */
export const faultSchemas = {
  ...Object.fromEntries(
    Object.entries(faults).map(([name, code]) => {
      // Only of a rate limit (contract §4.7).
      const more = name === "overLimit" ? { details: { type: "string" }, retryAfter: { type: "string" } } : {};
      return [name, envelope(name, { ...message, code: { const: code }, ...more }, ["code", "message"])];
    }),
  ),
  /** Keystone's own form, of a token that is none (contract §4.3). */
  unauthenticated: envelope("error", { ...message, code: { const: 401 }, title: { type: "string" } }, ["code", "title", "message"]),
};

const reasons: Record<Fault, string> = {
  badRequest: "What was sent breaks a rule; the message names the field and the rule.",
  unauthorized: "No valid token, or not one of an administrator.",
  forbidden: "The role may not do this, or the path names another project.",
  itemNotFound: "There is no such object, or it is not the project's.",
  conflict: "Something else is in the way.",
  overLimit: "A quota, the rate limit, or the largest body.",
  badMediaType: "The body is not application/json.",
  unprocessableEntity: "The object's state, or a value, does not allow it.",
  instanceFault: "An unexpected error; the message has its number in the log.",
  notImplemented: "This installation does not offer it.",
  serviceUnavailable: "Something behind the API is away; Retry-After says when to come again.",
};

const schemaRef = (name: string) => ({ $ref: `#/components/schemas/${name}` });

function refusal(fault: Fault) {
  const schema = fault === "unauthorized" ? { anyOf: [schemaRef("unauthorized"), schemaRef("unauthenticated")] } : schemaRef(fault);
  return { description: reasons[fault], content: json(schema) };
}

/** One response per refusal, by its name. */
export const responses = Object.fromEntries((Object.keys(faults) as Fault[]).map((fault) => [fault, refusal(fault)]));

/** Refusals that any route with a token can give. */
const always: Fault[] = ["badRequest", "unauthorized", "forbidden", "itemNotFound", "overLimit", "instanceFault", "notImplemented", "serviceUnavailable"];
/** And those of what reaches a guest or changes something. */
const changes: Fault[] = ["conflict", "unprocessableEntity"];

function faultsOf(key: RouteKey): Fault[] {
  const [method = "", path = ""] = key.split(" ");
  const asks = method !== "GET" || /\{\w+\}/.test(path);
  return [...always, ...(asks ? changes : []), ...(/^P/.test(method) ? (["badMediaType"] as const) : [])];
}

/** Responses of a route by status: success, unless it has none, and each refusal. `reply` = schema of the body on success. */
export function responsesOf(key: RouteKey, route: Route, { offered, reply }: { offered: boolean; reply: object | undefined }) {
  const success = { description: "Done.", ...(route.reply && { content: reply ? json(reply) : text }) };
  if (route.who === "nobody") return { 200: success, ...(key === "GET /healthcheck" && { 503: { description: "The state database does not answer.", content: text } }) };
  const refusals = Object.fromEntries(faultsOf(key).map((fault) => [faults[fault], { $ref: `#/components/responses/${fault}` }]));
  return { ...(offered && route.status < 300 && { [route.status]: success }), ...refusals };
}
