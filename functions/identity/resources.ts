import type { Context, Hono } from "hono";
import { AppError, badRequest, notFound } from "#core/error";
import type { Authenticator, Session } from "#functions/identity/authenticate";
import { endpointsOf, type CatalogueOptions } from "#functions/identity/catalogue";
import * as Store from "#functions/identity/store";
import { callerOf } from "#functions/identity/tokens";
import { domainView, listView, projectView, regionView, roleView, serviceView, userView } from "#functions/identity/view";

type Handler = (c: Context, caller: Session) => Promise<object>;

/** Users, projects, roles and the like: to be read only, an admin changes them by other means. */
export function resources(app: Hono, options: CatalogueOptions, authenticator: Authenticator) {
  const { publicUrl, region } = options;
  const root = `${publicUrl}/v3`;
  const get = (path: string, handler: Handler) =>
    app.get(path, async (c) => c.json(await handler(c, await callerOf(c, authenticator)), 200, { Vary: "X-Auth-Token" }));
  const list = (c: Context, key: string, rows: readonly object[]) =>
    listView(root, c.req.path.slice(c.req.path.indexOf("/v3/") + 4), key, rows);

  // A member sees the projects in which it has a role, an admin all.
  get("/v3/projects", async (c, caller) => {
    const filter = filterOf(c, "parent_id");
    const rows = await Store.listProjects({ ...filter, ...(!isAdmin(caller) && { ids: await Store.projectIdsOf(caller.user.id) }) });
    return list(c, "projects", rows.map((row) => projectView(root, row)));
  });
  get("/v3/projects/:id", async (c, caller) => {
    const id = idOf(c);
    const [row] = await Store.listProjects({ ids: [id] });
    // Another's project is as absent as none: the answer does not tell which.
    const seen = isAdmin(caller) || id === caller.project?.id || (await Store.projectIdsOf(caller.user.id)).includes(id);
    return { project: projectView(root, found(seen ? row : undefined, "project", id)) };
  });

  get("/v3/users", async (c, caller) => {
    mustBeAdmin(caller);
    return list(c, "users", (await Store.listUsers(filterOf(c))).map((row) => userView(root, row)));
  });
  get("/v3/users/:id", async (c, caller) => {
    const id = idOf(c);
    mustBeAdmin(caller, id);
    const [row] = await Store.listUsers({ ids: [id] });
    return { user: userView(root, found(row, "user", id)) };
  });
  get("/v3/users/:id/projects", async (c, caller) => {
    const id = idOf(c);
    mustBeAdmin(caller, id);
    const [row] = await Store.listUsers({ ids: [id] });
    const ids = await Store.projectIdsOf(found(row, "user", id).id);
    return list(c, "projects", (await Store.listProjects({ ...filterOf(c), ids })).map((one) => projectView(root, one)));
  });

  get("/v3/domains", async (c) => {
    const { name, enabled } = filterOf(c);
    const rows = (await Store.listDomains()).filter(
      (row) => (name === undefined || row.name === name) && (enabled === undefined || row.enabled === enabled),
    );
    return list(c, "domains", rows.map((row) => domainView(root, row)));
  });
  get("/v3/domains/:id", async (c) => {
    const id = idOf(c);
    return { domain: domainView(root, found((await Store.listDomains()).find((row) => row.id === id), "domain", id)) };
  });

  get("/v3/roles", async (c, caller) => {
    mustBeAdmin(caller);
    const { name } = filterOf(c);
    const rows = (await Store.listRoles()).filter((row) => name === undefined || row.name === name);
    return list(c, "roles", rows.map((row) => roleView(root, row)));
  });
  get("/v3/roles/:id", async (c, caller) => {
    mustBeAdmin(caller);
    const id = idOf(c);
    return { role: roleView(root, found((await Store.listRoles()).find((row) => row.id === id), "role", id)) };
  });
  get("/v3/role_assignments", async (c, caller) => {
    mustBeAdmin(caller);
    const [userId, projectId, roleId] = ["user.id", "scope.project.id", "role.id"].map((name) => textQuery(c, name));
    const rows = await Store.listAssignments({
      ...(userId !== undefined && { userId }),
      ...(projectId !== undefined && { projectId }),
      ...(roleId !== undefined && { roleId }),
    });
    const names = flag(c, "include_names") ? await domainNames() : undefined;
    return list(c, "role_assignments", rows.map((row) => assignmentView(root, row, names)));
  });

  get("/v3/services", async (c, caller) => {
    mustBeAdmin(caller);
    const [name, type] = [textQuery(c, "name"), textQuery(c, "type")];
    const rows = (await Store.listServices()).filter(
      (row) => (name === undefined || row.name === name) && (type === undefined || row.type === type),
    );
    return list(c, "services", rows.map((row) => serviceView(root, row)));
  });
  get("/v3/services/:id", async (c, caller) => {
    mustBeAdmin(caller);
    const id = idOf(c);
    return { service: serviceView(root, found((await Store.listServices()).find((row) => row.id === id), "service", id)) };
  });

  const endpoints = async () =>
    (await Store.listServices()).flatMap((service) =>
      endpointsOf(options, service, "%(project_id)s").map((endpoint) => ({
        ...endpoint,
        service_id: service.id,
        enabled: true,
        links: { self: `${root}/endpoints/${endpoint.id}` },
      })),
    );
  get("/v3/endpoints", async (c, caller) => {
    mustBeAdmin(caller);
    const [service, kind] = [textQuery(c, "service_id"), textQuery(c, "interface")];
    const rows = (await endpoints()).filter(
      (row) => (service === undefined || row.service_id === service) && (kind === undefined || row.interface === kind),
    );
    return list(c, "endpoints", rows);
  });
  get("/v3/endpoints/:id", async (c, caller) => {
    mustBeAdmin(caller);
    const id = idOf(c);
    return { endpoint: found((await endpoints()).find((row) => row.id === id), "endpoint", id) };
  });

  get("/v3/regions", async (c) => list(c, "regions", [regionView(root, region)]));
  get("/v3/regions/:id", async (c) => {
    const id = idOf(c);
    return { region: regionView(root, found(id === region ? region : undefined, "region", id)) };
  });
}

type Assignment = Awaited<ReturnType<typeof Store.listAssignments>>[number];

function assignmentView(root: string, { role, user, project }: Assignment, domains: Map<string, string> | undefined) {
  // With `?include_names` everything carries its name and its domain's.
  const named = (of: { id: string; name: string; domainId: string }) => ({
    id: of.id,
    ...(domains && { name: of.name, domain: { id: of.domainId, name: domains.get(of.domainId) ?? of.domainId } }),
  });
  return {
    role: { id: role.id, ...(domains && { name: role.name }) },
    user: named(user),
    scope: { project: named(project) },
    links: { assignment: `${root}/projects/${project.id}/users/${user.id}/roles/${role.id}` },
  };
}

const domainNames = async () => new Map((await Store.listDomains()).map((row) => [row.id, row.name]));

const isAdmin = (caller: Session) => caller.roles.some((role) => role.name === "admin");

/** An admin, or the user `self` itself. */
function mustBeAdmin(caller: Session, self?: string) {
  if (isAdmin(caller) || caller.user.id === self) return;
  throw new AppError("forbidden", "You are not authorized to perform the requested action: it needs the role admin.");
}

function found<T>(row: T | undefined, kind: string, id: string): T {
  if (row === undefined) throw notFound(`Could not find ${kind}: ${id}.`);
  return row;
}

/** Clients try names here first; what cannot be an id is sought as one and not found. */
const idOf = (c: Context) => plain(c.req.param("id") ?? "", "id");

const textQuery = (c: Context, name: string) => {
  const value = c.req.query(name);
  return value === undefined ? undefined : plain(value, name);
};

/** PostgreSQL's text cannot hold a NUL. */
function plain(value: string, name: string): string {
  if (value.includes("\0")) throw badRequest(`${name}: must not contain a NUL character`);
  return value;
}

/** Keystone's flags: present means yes, unless it says 0 or false. */
function flag(c: Context, name: string): boolean {
  const value = c.req.query(name);
  return value !== undefined && !["0", "false"].includes(value.toLowerCase());
}

/** Equality filters of the query; a project's parent is its domain. */
function filterOf(c: Context, parent?: "parent_id"): Store.Filter {
  const name = textQuery(c, "name");
  const domainId = textQuery(c, "domain_id") ?? (parent && textQuery(c, parent));
  return {
    ...(name !== undefined && { name }),
    ...(domainId !== undefined && { domainId }),
    ...(c.req.query("enabled") !== undefined && { enabled: flag(c, "enabled") }),
  };
}
