import { AppError } from "#core/error";
import type { Route, RouteKey } from "#functions/api/routes";
import type { UserActor } from "#functions/api/call";

/** Whether the token's roles let it call a route. Ownership of the object is the domain's to check: it is a 404. */
export function allow(actor: UserActor, key: RouteKey, { who }: Route): void {
  const admin = actor.isAdmin;
  if (who === "admin!" && !admin) {
    throw new AppError("unauthorized", "Only an administrator may do this.", { reason: "policy.admin" });
  }
  if (who === "admin" && !admin) throw forbidden(key);
  // Every role but reader may write; a token with no role at all may not.
  const writes = !key.startsWith("GET ");
  if (writes && !actor.roles.some((role) => role.toLowerCase() !== "reader")) throw forbidden(key, "role reader may only read");
}

export const forbidden = (rule: string, why?: string) =>
  new AppError("forbidden", `Policy does not allow '${rule}'${why ? `: ${why}` : ""}.`, { reason: "policy.forbidden" });
