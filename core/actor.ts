/** Who is asking. Tenant tables are scoped by it, in the query and again by row-level security. */
export type Actor =
  | {
      kind: "user";
      userId: string;
      projectId: string;
      roles: readonly string[];
      /** Role admin: other projects' objects are visible where the contract says so. */
      isAdmin: boolean;
    }
  | { kind: "system"; name: string };

export const system = (name: string): Actor => ({ kind: "system", name });
