import { AppError } from "#core/error";
import type { UserActor } from "#functions/api/call";

/** Type of this service in Keystone's catalogue (contract §0.1). */
const SERVICE_TYPE = "database";

/**
 * Refuses what the access rules of an application credential do not allow (Identity API v3, "Application credentials"):
 * Keystone tells them, each service has to keep to them. A list without rules allows nothing.
 */
export function keepToRules({ accessRules }: UserActor, request: Request): void {
  const { pathname } = new URL(request.url);
  if (!accessRules || accessRules.some((rule) => rule.service === SERVICE_TYPE && rule.method === request.method && fits(pathname, rule.path))) return;
  throw new AppError("forbidden", `The application credential's access rules do not allow ${request.method} ${pathname}.`, { reason: "policy.rules" });
}

/**
 * Whether a path is one of a pattern: `*` and `{name}` stand for some characters but no slash, `**` for any. Its time grows with
 * the product of both lengths, whatever the pattern: it is a user's, and as a regular expression it could be made to take for ever.
 */
function fits(path: string, pattern: string): boolean {
  // Whether the pattern so far can end there; there is one place more than characters.
  let ends = [true, ...Array.from(path, () => false)];
  for (const token of pattern.match(/\*\*|\*|\{[^}]*\}|[^]/g) ?? []) {
    const next: boolean[] = [];
    ends.forEach((here, at) => {
      const before = at > 0 && (ends[at - 1] ?? false);
      const longer = at > 0 && (next[at - 1] ?? false);
      if (token === "**") next.push(here || longer);
      else if (token === "*" || token.length > 1) next.push((before || longer) && path[at - 1] !== "/");
      else next.push(before && path[at - 1] === token);
    });
    ends = next;
  }
  return ends.at(-1) ?? false;
}
