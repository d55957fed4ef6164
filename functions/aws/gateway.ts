import type { APIGatewayProxyEventV2 } from "aws-lambda";
import type { Hono } from "hono";
import { handle } from "hono/aws-lambda";
import { awake } from "#functions/aws/wake";

/*
 * What an HTTP API of API Gateway does to a path before a function sees it, by live captures
 * (github.com/hotsock/voker, vokerhttp/testdata/ingress-paths.json, July 2026). It decodes twice:
 * `%2F` and `%252F` both arrive as `/`. What follows a `?` of the first decoding is cut off, and a
 * `%` of it that begins no encoding is refused with 400. The query string comes as it was sent.
 *
 * So a name with `# @ .`, blanks, letters of any script or a `/` arrives whole and needs its encoding
 * back, which `restored` does. A name with `?` would arrive as its beginning, which may be
 * another's name, and one with `%` not at all or as something else; a `/` beside a word of the route
 * table can be read in two ways. Nothing in the event tells, so such names are refused when they are
 * given (`carries`). A Lambda function URL hands paths over as they were sent and has no such limits.
 */

/** Words that follow a name in a path: `users/{user}/databases`, `users/{user}/update`. */
const DATABASES = "databases";
const UPDATE = "update";

/** Where names stand in a path that users of an instance choose themselves. */
const named = /^(\/v1\.0\/[^/]+\/instances\/[^/]+\/)(users|databases)\/(.+)$/s;

/** The handler of an app behind an HTTP API (payload 2.0), or behind a function URL, whose events have the same shape. */
export function behindGateway(app: Hono) {
  const answer = handle(app);
  // hono has types of its own for the same event.
  return awake((event: APIGatewayProxyEventV2) => answer(restored(event) as unknown as Parameters<typeof answer>[0]));
}

/** The event with its path as the client encoded it, and without a body where a request may have none. */
export function restored(event: APIGatewayProxyEventV2): APIGatewayProxyEventV2 {
  const { method } = event.requestContext.http;
  const rawPath = isFunctionUrl(event) ? event.rawPath : encoded(method, event.rawPath);
  const { body, ...rest } = event;
  return { ...rest, rawPath, ...(body !== undefined && method !== "GET" && method !== "HEAD" && { body }) };
}

/** Why this endpoint cannot carry a name in a path; undefined if it can. */
export function carries(name: string): string | undefined {
  const special = /[?%]/.exec(name)?.[0];
  if (special) return `the gateway does not carry '${special}' in a path`;
  if (name === "." || name === "..") return "as part of a path it means another place";
  const parts = name.split("/");
  const part = parts.length > 1 && parts.find((one) => ["", ".", "..", DATABASES, UPDATE].includes(one));
  if (part !== undefined && part !== false) return `the gateway does not carry '/' beside '${part}' in a path`;
  return undefined;
}

const isFunctionUrl = ({ requestContext }: APIGatewayProxyEventV2) => /\.lambda-url\.[^.]+\.on\.aws$/.test(requestContext.domainName);

function encoded(method: string, path: string): string {
  const [, head, kind, tail] = named.exec(path) ?? [];
  if (head === undefined || tail === undefined) return each(path.split("/"));
  const names = kind === "users" ? partsOfUser(method, tail.split("/")) : [tail];
  return each([...`${head}${kind}`.split("/"), ...names]);
}

/** A user's name, then what follows it; only the first such word can, as no name has it. */
function partsOfUser(method: string, parts: string[]): string[] {
  const at = parts.indexOf(DATABASES, 1);
  if (at > 0) {
    const database = parts.slice(at + 1).join("/");
    return [parts.slice(0, at).join("/"), DATABASES, ...(at + 1 < parts.length ? [database] : [])];
  }
  const last = parts.length - 1;
  if (method === "PUT" && last > 0 && parts[last] === UPDATE) return [parts.slice(0, last).join("/"), UPDATE];
  return [parts.join("/")];
}

/** A lone surrogate is no character, and no name has one: what it becomes is not found. */
const each = (segments: string[]) => segments.map((segment) => encodeURIComponent(segment.replace(/\p{Surrogate}/gu, "\ufffd"))).join("/");
