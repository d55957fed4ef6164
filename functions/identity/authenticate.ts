import { ambient, within } from "#core/context";
import { read } from "#core/db/index";
import { AppError } from "#core/error";
import { checkPassword, passwordTurn } from "#functions/identity/password";
import { referenceOf, type Login } from "#functions/identity/request";
import { findProject, findUser, isRevoked, rolesOf, type ProjectRow, type RoleRow, type UserRow } from "#functions/identity/store";
import type { Throttle } from "#functions/identity/throttle";
import { newAuditId, type Claims, type TokenCodec } from "#functions/identity/token";

/** A token that holds at this moment, with what its names stand for. */
export interface Session {
  claims: Claims;
  user: UserRow;
  /** Absent with an unscoped token, which then has no roles. */
  project?: ProjectRow;
  roles: RoleRow[];
}

export interface Authenticator {
  /** Throws `unauthorized`, `badRequest` or, when too many log in at once, `serviceUnavailable`. */
  login(login: Login, address: string): Promise<Session>;
  /** The session of a token; undefined when it is not ours, has ended, or has lost its ground. */
  session(token: string): Promise<Session | undefined>;
}

const GENERIC = "The request you have made requires authentication.";
/** The same words for every cause, so that nobody learns which names exist. */
export const unauthorized = () => new AppError("unauthorized", GENERIC);

export function authenticatorOf(codec: TokenCodec, throttle: Throttle, tokenSeconds: number): Authenticator {
  async function session(token: string): Promise<Session | undefined> {
    const claims = codec.open(token);
    if (!claims || claims.expiresAt <= clockNow()) return undefined;
    const { userId, projectId } = claims;
    const [user, revoked, project, held] = await read((tx) =>
      within({ tx }, () =>
        Promise.all([
          findUser({ id: userId }),
          isRevoked(claims.auditIds[0] ?? ""),
          projectId === undefined ? undefined : findProject({ id: projectId }),
          projectId === undefined ? [] : rolesOf(userId, projectId),
        ]),
      ),
    );
    if (!user || revoked || user.passwordVersion !== claims.passwordVersion) return undefined;
    if (projectId !== undefined && !project) return undefined;
    const roles = held.filter((role) => claims.roles.includes(role.name));
    if (roles.length < claims.roles.length) return undefined;
    return { claims, user, ...(project && { project }), roles };
  }

  async function byPassword(given: NonNullable<Login["identity"]["password"]>["user"], address: string): Promise<UserRow> {
    const reference = referenceOf(given, "auth.identity.password.user");
    const user = await findUser(reference);
    // The id where there is one: name and id of one user are then one and the same to the throttle.
    const who = user?.id ?? JSON.stringify(reference);
    const refuseLocked = () => {
      const wait = throttle.wait(who, address);
      if (wait > 0) {
        throw new AppError("unauthorized", `Too many failed logins of this user from this address; try again in ${Math.ceil(wait / 1000)} s.`, {
          reason: "identity.locked",
        });
      }
    };
    refuseLocked();
    // Looked at again and counted within the turn: of many guesses sent at once, those that wait see the others fail.
    const right = await passwordTurn(async () => {
      refuseLocked();
      if (await checkPassword(given.password, user?.passwordHash)) return true;
      throttle.failed(who, address);
      return false;
    });
    if (!right || !user) throw unauthorized();
    throttle.succeeded(who, address);
    return user;
  }

  async function login({ identity, scope }: Login, address: string): Promise<Session> {
    const unsupported = identity.methods.find((method) => method !== "password" && method !== "token");
    if (unsupported !== undefined) throw new AppError("unauthorized", `The authentication method ${JSON.stringify(unsupported)} is not supported; use password or token.`);
    const parent = identity.methods.includes("token") && identity.token ? await session(identity.token.id) : undefined;
    if (identity.methods.includes("token") && !parent) throw unauthorized();
    const typed = identity.methods.includes("password") && identity.password ? await byPassword(identity.password.user, address) : undefined;
    // Every method named must succeed, and for one and the same user.
    const user = typed ?? parent?.user;
    if (!user || (parent && parent.user.id !== user.id)) throw unauthorized();

    const target = await scopeOf(scope, user);
    const issuedAt = clockNow();
    const root = parent?.claims.auditIds.at(-1);
    return {
      user,
      ...target,
      claims: {
        userId: user.id,
        passwordVersion: user.passwordVersion,
        ...(target.project && { projectId: target.project.id }),
        roles: target.roles.map((role) => role.name),
        methods: [...new Set([...identity.methods, ...(parent?.claims.methods ?? [])])],
        issuedAt,
        // A token made from a token does not outlive it, or a stolen one would last for ever.
        expiresAt: Math.min(issuedAt + tokenSeconds * 1000, parent?.claims.expiresAt ?? Infinity),
        auditIds: [newAuditId(), ...(root === undefined ? [] : [root])],
      },
    };
  }

  return { login, session };
}

async function scopeOf(scope: Login["scope"], user: UserRow): Promise<{ project?: ProjectRow; roles: RoleRow[] }> {
  if (scope?.domain || scope?.system) throw new AppError("unauthorized", "Roles are held in projects here: use a project scope.");
  if (!scope?.project) return { roles: [] };
  const project = await findProject(referenceOf(scope.project, "auth.scope.project"));
  const roles = project ? await rolesOf(user.id, project.id) : [];
  if (!project || roles.length === 0) throw new AppError("unauthorized", "There is no such project in which this user has a role.");
  return { project, roles };
}

const clockNow = () => ambient().clock.now().getTime();
