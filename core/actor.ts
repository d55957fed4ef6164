/** Who is asking. Tenant tables are scoped by it, in the query and again by row-level security. */
export type Actor =
  | {
      kind: "user";
      userId: string;
      projectId: string;
      roles: readonly string[];
      /** Role admin: other projects' objects are visible where the contract says so. */
      isAdmin: boolean;
      /** All that an application credential allows; absent: no such bounds. */
      accessRules?: readonly AccessRule[];
    }
  | { kind: "system"; name: string };

export const system = (name: string): Actor => ({ kind: "system", name });

/** What one may call with an application credential (Identity API v3, "Application credentials"). */
export interface AccessRule {
  /** Type in the catalogue. */
  service: string;
  method: string;
  /** A path in which `*` and `{name}` stand for one segment, `**` for any number. */
  path: string;
}
