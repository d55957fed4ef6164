/** Configuration groups: what can be done to them. */
import { and, asc, count, eq, gt, isNull } from "drizzle-orm";
import { configuration } from "#core/configuration/configuration.sql";
import { checkValues } from "#core/configuration/values";
import { newId, now, user } from "#core/context";
import { inside, read, transaction } from "#core/db/index";
import { datastore, datastoreVersion } from "#core/datastore/datastore.sql";
import * as Datastore from "#core/datastore/index";
import { badRequest } from "#core/error";
import { tellDone } from "#core/event/index";
import { isUuid } from "#core/id";
import { instance } from "#core/instance/instance.sql";
import { unknownConfiguration } from "#core/instance/overrides";

export { attach, detach, merge, replace } from "#core/configuration/attach";

export interface Group {
  group: typeof configuration.$inferSelect;
  datastore: { name: string };
  version: { name: string; version: string };
}

const mine = () => (user().isAdmin ? undefined : eq(configuration.projectId, user().projectId));

const select = (where: ReturnType<typeof and>, limit: number): Promise<Group[]> =>
  read((tx) =>
    tx
      .select({ group: configuration, datastore: { name: datastore.name }, version: { name: datastoreVersion.name, version: datastoreVersion.version } })
      .from(configuration)
      .innerJoin(datastoreVersion, eq(datastoreVersion.id, configuration.datastoreVersionId))
      .innerJoin(datastore, eq(datastore.id, datastoreVersion.datastoreId))
      .where(and(isNull(configuration.deletedAt), mine(), where))
      .orderBy(asc(configuration.id))
      .limit(limit),
  );

/** One group; 404. */
export async function get(id: string): Promise<Group> {
  const [row] = isUuid(id) ? await select(eq(configuration.id, id.toLowerCase()), 1) : [];
  if (!row) throw unknownConfiguration(id);
  return row;
}

/** A page of the project's groups, of everybody's for an admin, by ascending id (contract §0.6, §0.7). */
export async function list({ limit, marker }: { limit: number; marker?: string }): Promise<{ rows: Group[]; next: string | undefined }> {
  const rows = await select(marker === undefined ? undefined : gt(configuration.id, marker), limit + 1);
  const page = rows.slice(0, limit);
  return { rows: page, next: rows.length > limit ? page.at(-1)?.group.id : undefined };
}

const attached = (id: string) => and(eq(instance.configurationId, id), isNull(instance.deletedAt));

/** How many instances have a group attached. */
export async function countInstances(id: string): Promise<number> {
  const [row] = await read((tx) => tx.select({ count: count() }).from(instance).where(attached(id)));
  return row?.count ?? 0;
}

/** A page of the instances that have a group attached, by ascending id; 404 for an unknown group. */
export async function instancesOf(wanted: string, { limit, marker }: { limit: number; marker?: string }) {
  const { group } = await get(wanted);
  const rows = await read((tx) =>
    tx
      .select({ id: instance.id, name: instance.name })
      .from(instance)
      .where(and(attached(group.id), marker === undefined ? undefined : gt(instance.id, marker)))
      .orderBy(asc(instance.id))
      .limit(limit + 1),
  );
  const page = rows.slice(0, limit);
  return { rows: page, next: rows.length > limit ? page.at(-1)?.id : undefined };
}

export interface NewGroup {
  name: string;
  description?: string;
  datastore: Datastore.Choice;
  values: Record<string, unknown>;
}

/** Makes a group; inactive versions are accepted (contract §2.7). Values that the version's parameters do not allow are 422. */
export async function create(wish: NewGroup, defaultDatastore: string): Promise<Group> {
  const { store, version } = Datastore.resolve(await Datastore.list(), wish.datastore, defaultDatastore, { inactive: true });
  const values = await checkValues(version, wish.values);
  const at = now();
  const row = {
    id: newId(),
    createdAt: at,
    updatedAt: at,
    projectId: user().projectId,
    name: wish.name,
    description: wish.description ?? null,
    datastoreVersionId: version.id,
    values,
  };
  const [group] = await transaction(async (tx) => {
    const made = await tx.insert(configuration).values(row).returning();
    const traits = { name: row.name, datastore: store.name, datastore_version: version.name };
    await tellDone("configuration_create", { kind: "configuration", id: row.id, projectId: row.projectId }, traits);
    return made;
  });
  if (!group) throw new Error("the configuration group was not stored");
  return { group, datastore: store, version };
}

/** Removes a group; 400 while an instance has it attached. */
export async function remove(wanted: string): Promise<void> {
  const { group } = await get(wanted);
  await transaction(async () => {
    // Whoever attaches it holds the row: after this it is attached, or cannot be any more.
    const [there] = await inside().select({ id: configuration.id }).from(configuration).where(and(eq(configuration.id, group.id), isNull(configuration.deletedAt))).for("update");
    if (!there) throw unknownConfiguration(wanted);
    const users = await countInstances(group.id);
    if (users > 0) {
      throw badRequest(`Configuration group ${group.id} is attached to ${users} instance${users === 1 ? "" : "s"}.`, { reason: "configuration.in_use", next: "Detach it first." });
    }
    await inside().update(configuration).set({ deletedAt: now(), updatedAt: now() }).where(eq(configuration.id, group.id));
    await tellDone("configuration_delete", { kind: "configuration", id: group.id, projectId: group.projectId });
  });
}
