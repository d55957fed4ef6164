import { and, asc, desc, eq, gt, isNotNull, isNull, sql, type SQL } from "drizzle-orm";
import { user, within } from "#core/context";
import { read, type Tx } from "#core/db/index";
import { statement } from "#core/db/statement";
import { configuration } from "#core/configuration/configuration.sql";
import { datastore, datastoreVersion } from "#core/datastore/datastore.sql";
import { notFound } from "#core/error";
import { standing, type Standing } from "#core/guest/client";
import { isUuid, type ExternalKind } from "#core/id";
import { instance, resource } from "#core/instance/instance.sql";

export type Instance = typeof instance.$inferSelect;

/** An instance with the names its views need. */
export interface Detail {
  instance: Instance;
  datastore: { name: string };
  version: { name: string; version: string; manager: string };
  /** The attached group. */
  configuration: { id: string; name: string } | null;
  /** Ids of those that follow it, oldest first. */
  replicas: string[];
  /** Where its guest last said to stand as a source or a replica. */
  position: Standing | null;
  /** The clouds' ids of its server and volume; null for those who may not see them. */
  serverId: string | null;
  volumeId: string | null;
}

const external = (kind: ExternalKind, isAdmin: boolean) =>
  isAdmin
    ? sql<string | null>`(select ${resource.externalId} from ${resource} where ${resource.instanceId} = ${instance.id}
        and ${resource.kind} = ${kind} and ${resource.removedAt} is null limit 1)`
    : sql<string | null>`null`;

const columns = (isAdmin: boolean) => ({
  instance,
  datastore: { name: datastore.name },
  version: { name: datastoreVersion.name, version: datastoreVersion.version, manager: datastoreVersion.manager },
  configuration: { id: configuration.id, name: configuration.name },
  replicas: sql<string[]>`(select coalesce(json_agg(r.id order by r.created_at, r.name, r.id), '[]') from ${instance} r where r.replica_of = ${instance.id} and r.desired = 'present' and r.deleted_at is null)`,
  position: standing(instance.id),
  serverId: external("server", isAdmin),
  volumeId: external("volume", isAdmin),
});

/** Rows the actor may see: the project's own, and every project's for an admin. */
export const mine = () => (user().isAdmin ? undefined : eq(instance.projectId, user().projectId));

/** The live instance with this id, if the actor may see it. */
export const named = (id: string) => and(eq(instance.id, id), isNull(instance.deletedAt), mine());

export const unknown = (id: string) => notFound(`Instance ${id} cannot be found.`, { reason: "instance.unknown" });

/** A word that is no id names nothing: clients try a name before they list (contract §10.2). */
export function idOf(id: string): string {
  if (!isUuid(id)) throw unknown(id);
  return id.toLowerCase();
}

const select = (tx: Tx, isAdmin: boolean) =>
  tx
    .select(columns(isAdmin))
    .from(instance)
    .innerJoin(datastoreVersion, eq(datastoreVersion.id, instance.datastoreVersionId))
    .innerJoin(datastore, eq(datastore.id, datastoreVersion.datastoreId))
    .leftJoin(configuration, eq(configuration.id, instance.configurationId))
    .$dynamic();

const { placeholder } = sql;
const inProject = eq(instance.projectId, placeholder("project"));
const live = isNull(instance.deletedAt);
const withId = eq(instance.id, placeholder("id"));

const one = {
  own: statement((tx) => select(tx, false).where(and(withId, inProject))),
  any: statement((tx) => select(tx, true).where(withId)),
};

const pages = {
  own: pagesOf(false),
  /** As the own project's, with what only an admin sees. */
  admin: pagesOf(true),
};

function pagesOf(isAdmin: boolean) {
  const page = (tx: Tx, after?: SQL) =>
    select(tx, isAdmin).where(and(inProject, live, after)).orderBy(asc(instance.id)).limit(placeholder("limit"));
  return {
    first: statement((tx) => page(tx)),
    next: statement((tx) => page(tx, gt(instance.id, placeholder("marker")))),
  };
}

/** One instance; deleted ones only when asked for. Throws 404. */
export async function get(id: string, { deleted = false } = {}): Promise<Detail> {
  const { isAdmin, projectId } = user();
  const at = idOf(id);
  const [row] = await read((tx) => (isAdmin ? one.any(tx, { id: at }) : one.own(tx, { id: at, project: projectId })));
  if (!row || (row.instance.deletedAt && !deleted)) throw unknown(id);
  return row;
}

/** One live instance, and what else there is to know of that id, in one round trip. */
export async function getWith<T>(id: string, more: (id: string) => Promise<T>): Promise<[Detail, T]> {
  const at = idOf(id);
  return read((tx) => within({ tx }, () => Promise.all([get(at), more(at)])));
}

const newestFirst = (rows: Detail[]) =>
  rows.sort((a, b) => b.instance.createdAt.getTime() - a.instance.createdAt.getTime() || (a.instance.id < b.instance.id ? -1 : 1));

export interface Page {
  rows: Detail[];
  /** Where the next page begins; absent on the last one. */
  next?: string;
}

/**
 * A page of the actor's project (an admin's own too, contract §0.7). Pages follow the id, so
 * that they hold still while instances come and go; inside a page the newest is first (§0.6).
 */
export async function list({ limit, marker }: { limit: number; marker?: string }): Promise<Page> {
  const { isAdmin, projectId } = user();
  const { first, next } = isAdmin ? pages.admin : pages.own;
  const wanted = { project: projectId, limit: limit + 1 };
  const rows = await read((tx) => (marker === undefined ? first(tx, wanted) : next(tx, { ...wanted, marker })));
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { rows: newestFirst([...page]), ...(rows.length > limit && last && { next: last.instance.id }) };
}

/** A page of those of the live instances the actor may see that fulfil a condition, by ascending id; inside it the newest is first. */
export async function listAmong(when: SQL, { limit, marker }: { limit: number; marker?: string }): Promise<Page> {
  const { isAdmin } = user();
  const rows = await read((tx) =>
    select(tx, isAdmin)
      .where(and(live, mine(), when, marker === undefined ? undefined : gt(instance.id, marker)))
      .orderBy(asc(instance.id))
      .limit(limit + 1),
  );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { rows: newestFirst([...page]), ...(rows.length > limit && last && { next: last.instance.id }) };
}

export interface Everywhere {
  limit: number;
  offset: number;
  /** Only deleted, only live, or (undefined) both. */
  deleted?: boolean;
  projectId?: string;
}

/** A page over all projects, for admins: latest change first; a full page has a next one (contract §0.6). */
export async function listEverywhere({ limit, offset, deleted, projectId }: Everywhere): Promise<Page> {
  const rows = await read((tx) =>
    select(tx, true)
      .where(
        and(
          projectId === undefined ? undefined : eq(instance.projectId, projectId),
          deleted === undefined ? undefined : deleted ? isNotNull(instance.deletedAt) : live,
        ),
      )
      .orderBy(desc(instance.updatedAt), desc(instance.id))
      .limit(limit)
      .offset(offset),
  );
  return { rows: newestFirst(rows), ...(rows.length === limit && { next: String(offset + limit) }) };
}
