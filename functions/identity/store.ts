import { and, asc, eq, inArray, lt, type SQL } from "drizzle-orm";
import { now } from "#core/context";
import { read, transaction } from "#core/db/index";
import { account, assignment, domain, project, revoked, role, service } from "#functions/identity/identity.sql";

/** Rows of one list at most; a longer one says that it is cut, as Keystone's `list_limit` does. */
export const LIST_LIMIT = 1000;

export type DomainRow = typeof domain.$inferSelect;
export type RoleRow = typeof role.$inferSelect;
export type ServiceRow = typeof service.$inferSelect;
export type ProjectRow = typeof project.$inferSelect & { domainName: string };
export type UserRow = typeof account.$inferSelect & { domainName: string };

/** How a request names something that lives in a domain: by id, or by name and domain. */
export type Reference =
  | { id: string }
  | { name: string; domain: { id: string } | { name: string } };

/** Equality filters of a list; an absent one does not filter. */
export interface Filter {
  ids?: string[];
  name?: string;
  domainId?: string;
  enabled?: boolean;
}

type InDomain = typeof project | typeof account;

const referred = (table: InDomain, by: Reference): SQL | undefined =>
  "id" in by
    ? eq(table.id, by.id)
    : and(eq(table.name, by.name), "id" in by.domain ? eq(domain.id, by.domain.id) : eq(domain.name, by.domain.name));

const filtered = (table: InDomain, { ids, name, domainId, enabled }: Filter): SQL | undefined =>
  and(
    ids && inArray(table.id, ids),
    name === undefined ? undefined : eq(table.name, name),
    domainId === undefined ? undefined : eq(table.domainId, domainId),
    enabled === undefined ? undefined : eq(table.enabled, enabled),
  );

/** Undefined too when the user or the domain is disabled. */
export async function findUser(by: Reference): Promise<UserRow | undefined> {
  const [row] = await users(and(referred(account, by), eq(account.enabled, true), eq(domain.enabled, true)));
  return row;
}

/** Undefined too when the project or the domain is disabled. */
export async function findProject(by: Reference): Promise<ProjectRow | undefined> {
  const [row] = await projects(and(referred(project, by), eq(project.enabled, true), eq(domain.enabled, true)));
  return row;
}

export const listUsers = (filter: Filter) => users(filtered(account, filter));
export const listProjects = (filter: Filter) => projects(filtered(project, filter));

async function users(where: SQL | undefined): Promise<UserRow[]> {
  const rows = await read((tx) =>
    tx
      .select({ user: account, domainName: domain.name })
      .from(account)
      .innerJoin(domain, eq(domain.id, account.domainId))
      .where(where)
      .orderBy(asc(account.name), asc(account.id))
      .limit(LIST_LIMIT + 1),
  );
  return rows.map((row) => ({ ...row.user, domainName: row.domainName }));
}

async function projects(where: SQL | undefined): Promise<ProjectRow[]> {
  const rows = await read((tx) =>
    tx
      .select({ project, domainName: domain.name })
      .from(project)
      .innerJoin(domain, eq(domain.id, project.domainId))
      .where(where)
      .orderBy(asc(project.name), asc(project.id))
      .limit(LIST_LIMIT + 1),
  );
  return rows.map((row) => ({ ...row.project, domainName: row.domainName }));
}

export const listDomains = () => read((tx) => tx.select().from(domain).orderBy(asc(domain.name)).limit(LIST_LIMIT + 1));
export const listRoles = () => read((tx) => tx.select().from(role).orderBy(asc(role.name)).limit(LIST_LIMIT + 1));
export const listServices = () => read((tx) => tx.select().from(service).orderBy(asc(service.type)).limit(LIST_LIMIT + 1));

/** Who has which role where, with the names a client may ask for. */
export function listAssignments(filter: { userId?: string; projectId?: string; roleId?: string }) {
  const { userId, projectId, roleId } = filter;
  return read((tx) =>
    tx
      .select({
        role: { id: role.id, name: role.name },
        user: { id: account.id, name: account.name, domainId: account.domainId },
        project: { id: project.id, name: project.name, domainId: project.domainId },
      })
      .from(assignment)
      .innerJoin(role, eq(role.id, assignment.roleId))
      .innerJoin(account, eq(account.id, assignment.userId))
      .innerJoin(project, eq(project.id, assignment.projectId))
      .where(
        and(
          userId === undefined ? undefined : eq(assignment.userId, userId),
          projectId === undefined ? undefined : eq(assignment.projectId, projectId),
          roleId === undefined ? undefined : eq(assignment.roleId, roleId),
        ),
      )
      .orderBy(asc(assignment.userId), asc(assignment.projectId), asc(role.name))
      .limit(LIST_LIMIT + 1),
  );
}

/** Ids of the enabled projects in which the user has any role. */
export async function projectIdsOf(userId: string): Promise<string[]> {
  const rows = await read((tx) =>
    tx
      .selectDistinct({ id: project.id })
      .from(assignment)
      .innerJoin(project, eq(project.id, assignment.projectId))
      .where(and(eq(assignment.userId, userId), eq(project.enabled, true)))
      .limit(LIST_LIMIT + 1),
  );
  return rows.map((row) => row.id);
}

/** Roles of a user in a project, by name. */
export const rolesOf = (userId: string, projectId: string): Promise<RoleRow[]> =>
  read((tx) =>
    tx
      .select({ id: role.id, name: role.name })
      .from(assignment)
      .innerJoin(role, eq(role.id, assignment.roleId))
      .where(and(eq(assignment.userId, userId), eq(assignment.projectId, projectId)))
      .orderBy(asc(role.name)),
  );

export async function isRevoked(auditId: string): Promise<boolean> {
  const rows = await read((tx) => tx.select().from(revoked).where(eq(revoked.auditId, auditId)));
  return rows.length > 0;
}

/** Ends a token for good. Rows of tokens that have ended by themselves go at the same time. */
export function revoke(auditId: string, expiresAt: Date): Promise<void> {
  return transaction(async (tx) => {
    await tx.delete(revoked).where(lt(revoked.expiresAt, now()));
    await tx.insert(revoked).values({ auditId, expiresAt }).onConflictDoNothing();
  });
}
