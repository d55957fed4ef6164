import { STATUS_CODES } from "node:http";
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { AppError, describe, type Code } from "#core/error";
import { log } from "#core/log";

const statuses = {
  badRequest: 400,
  unauthorized: 401,
  forbidden: 403,
  itemNotFound: 404,
  conflict: 409,
  overLimit: 413,
  badMediaType: 415,
  unprocessableEntity: 400,
  notImplemented: 501,
  serviceUnavailable: 503,
  instanceFault: 500,
} as const satisfies Record<Code, ContentfulStatusCode>;

/** Any error as Keystone tells it. `publicUrl` is the identity root. */
export function faultOf(c: Context, publicUrl: string, error: unknown): Response {
  if (!(error instanceof AppError)) {
    log.error("identity request failed", { error: describe(error), path: c.req.path });
    return fault(c, publicUrl, 500, "An unexpected error prevented the server from fulfilling your request.");
  }
  return fault(c, publicUrl, statuses[error.code], error.message);
}

/** `{"error": {"code", "message", "title"}}`; a 401 says where to log in (Identity API v3, "Unauthorized"). */
export function fault(c: Context, publicUrl: string, status: ContentfulStatusCode, message: string): Response {
  if (status === 401) c.header("WWW-Authenticate", `Keystone uri="${publicUrl}"`);
  return c.json({ error: { code: status, message, title: STATUS_CODES[status] ?? "Error" } }, status, { Vary: "X-Auth-Token" });
}
