import { getConnInfo } from "@hono/node-server/conninfo";
import type { Context, Hono } from "hono";
import { AppError, badRequest, notFound } from "#core/error";
import { unauthorized, type Authenticator, type Session } from "#functions/identity/authenticate";
import { catalogueOf, type CatalogueOptions } from "#functions/identity/catalogue";
import { parseLogin } from "#functions/identity/request";
import { listProjects, projectIdsOf, revoke } from "#functions/identity/store";
import type { TokenCodec } from "#functions/identity/token";
import { listView, projectView, tokenView } from "#functions/identity/view";

interface TokenRoutes extends CatalogueOptions {
  codec: TokenCodec;
  authenticator: Authenticator;
}

/** The routes under `/v3/auth`. */
export function tokens(app: Hono, { codec, authenticator, ...options }: TokenRoutes) {
  const root = `${options.publicUrl}/v3`;
  const headers = (token: string) => ({ "X-Subject-Token": token, Vary: "X-Auth-Token" });

  async function body(c: Context, session: Session) {
    // The key alone counts: clients send `?nocatalog` and `?nocatalog=1`.
    const wanted = session.project && c.req.query("nocatalog") === undefined;
    return tokenView(session, wanted && session.project ? await catalogueOf(options, session.project.id) : undefined);
  }

  /** The token asked about, and who asks: its own user, an admin, or a service. */
  async function subject(c: Context, roles: string[]) {
    const caller = await callerOf(c, authenticator);
    const token = c.req.header("x-subject-token");
    if (!token) throw notFound("No token in the request: the header X-Subject-Token is missing.");
    const session = await authenticator.session(token);
    const privileged = caller.roles.some((role) => roles.includes(role.name));
    if (!privileged && session?.user.id !== caller.user.id) {
      throw new AppError("forbidden", "You are not authorized to perform the requested action on another user's token.");
    }
    if (!session) throw notFound("Could not find the token: it is unknown, has ended or was revoked.");
    return { token, session };
  }

  app.post("/v3/auth/tokens", async (c) => {
    const session = await authenticator.login(parseLogin(await jsonOf(c)), addressOf(c));
    return c.json(await body(c, session), 201, headers(codec.seal(session.claims)));
  });

  // Answers HEAD as well.
  app.get("/v3/auth/tokens", async (c) => {
    const { token, session } = await subject(c, ["admin", "service"]);
    return c.json(await body(c, session), 200, headers(token));
  });

  app.delete("/v3/auth/tokens", async (c) => {
    const { session } = await subject(c, ["admin"]);
    const [auditId] = session.claims.auditIds;
    if (auditId === undefined) throw new Error("a token has no audit id");
    await revoke(auditId, new Date(session.claims.expiresAt));
    return c.body(null, 204, { Vary: "X-Auth-Token" });
  });

  app.get("/v3/auth/catalog", async (c) => {
    const { project } = await callerOf(c, authenticator);
    if (!project) throw new AppError("forbidden", "A token without a project has no catalog.");
    return c.json({ catalog: await catalogueOf(options, project.id), links: { self: `${root}/auth/catalog` } }, 200, { Vary: "X-Auth-Token" });
  });

  app.get("/v3/auth/projects", async (c) => {
    const { user } = await callerOf(c, authenticator);
    const rows = await listProjects({ ids: await projectIdsOf(user.id), enabled: true });
    return c.json(listView(root, "auth/projects", "projects", rows.map((row) => projectView(root, row))), 200, { Vary: "X-Auth-Token" });
  });
}

/** Whose token is in `X-Auth-Token`. Throws `unauthorized`. */
export async function callerOf(c: Context, authenticator: Authenticator): Promise<Session> {
  const token = c.req.header("x-auth-token");
  const session = token ? await authenticator.session(token) : undefined;
  if (!session) throw unauthorized();
  return session;
}

async function jsonOf(c: Context): Promise<unknown> {
  const text = await c.req.text();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest("The request body is not valid JSON.", { cause: error });
  }
}

/** Outside a server of node (a test that calls the app directly) there is no connection. */
function addressOf(c: Context): string {
  return (c.env as { incoming?: unknown } | undefined)?.incoming ? (getConnInfo(c).remote.address ?? "unknown") : "unknown";
}
