import type { Session } from "#functions/identity/authenticate";
import type { CatalogueEntry } from "#functions/identity/catalogue";
import { LIST_LIMIT, type DomainRow, type ProjectRow, type RoleRow, type ServiceRow, type UserRow } from "#functions/identity/store";

/** `root` is the public URL of v3, without a slash at its end. */
const self = (root: string, path: string) => ({ self: `${root}/${path}` });

/** Keystone's instants: UTC with six decimals. */
export const wire = (ms: number) => new Date(ms).toISOString().replace("Z", "000Z");

export const domainView = (root: string, row: DomainRow) => ({
  id: row.id,
  name: row.name,
  description: "",
  enabled: row.enabled,
  options: {},
  tags: [],
  links: self(root, `domains/${row.id}`),
});

export const projectView = (root: string, row: ProjectRow) => ({
  id: row.id,
  name: row.name,
  domain_id: row.domainId,
  // A project at the top has its domain as parent.
  parent_id: row.domainId,
  description: row.description,
  enabled: row.enabled,
  is_domain: false,
  options: {},
  tags: [],
  links: self(root, `projects/${row.id}`),
});

export const userView = (root: string, row: UserRow) => ({
  id: row.id,
  name: row.name,
  domain_id: row.domainId,
  enabled: row.enabled,
  password_expires_at: null,
  options: {},
  links: self(root, `users/${row.id}`),
});

export const roleView = (root: string, row: RoleRow) => ({
  id: row.id,
  name: row.name,
  domain_id: null,
  description: null,
  options: {},
  links: self(root, `roles/${row.id}`),
});

export const serviceView = (root: string, row: ServiceRow) => ({
  id: row.id,
  name: row.name,
  type: row.type,
  description: "",
  enabled: true,
  links: self(root, `services/${row.id}`),
});

export const regionView = (root: string, id: string) => ({
  id,
  description: "",
  parent_region_id: null,
  links: self(root, `regions/${id}`),
});

/** A list in Keystone's frame. Rows beyond LIST_LIMIT are cut, and `truncated` says so. */
export function listView<T>(root: string, path: string, key: string, rows: readonly T[]) {
  return {
    [key]: rows.slice(0, LIST_LIMIT),
    links: { next: null, ...self(root, path), previous: null },
    ...(rows.length > LIST_LIMIT && { truncated: true }),
  };
}

/** The body of a token; without `catalogue` where the client asked for none. */
export function tokenView({ claims, user, project, roles }: Session, catalogue: CatalogueEntry[] | undefined) {
  return {
    token: {
      methods: claims.methods,
      user: { id: user.id, name: user.name, domain: { id: user.domainId, name: user.domainName }, password_expires_at: null },
      audit_ids: claims.auditIds,
      issued_at: wire(claims.issuedAt),
      expires_at: wire(claims.expiresAt),
      ...(project && {
        project: { id: project.id, name: project.name, domain: { id: project.domainId, name: project.domainName } },
        is_domain: false,
        roles: roles.map(({ id, name }) => ({ id, name })),
        ...(catalogue && { catalog: catalogue }),
      }),
    },
  };
}
