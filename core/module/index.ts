/** Modules: what can be done to them. */
import { and, count, eq, isNull } from "drizzle-orm";
import { newId, now, user } from "#core/context";
import { read, transaction } from "#core/db/index";
import * as Datastore from "#core/datastore/index";
import { AppError, badRequest } from "#core/error";
import { checkContents, readContents, typeOf } from "#core/module/contents";
import { instanceModule, module } from "#core/module/module.sql";
import { checkOptions, forbiddenModule, type Options } from "#core/module/options";
import { get, type Module, type Row } from "#core/module/row";
import type { Seal } from "#core/seal";

export { get, list, type Module } from "#core/module/row";
export { apply, applied, take, type Applied } from "#core/module/apply";
export { countByVersion, instancesOf, reapply, type VersionCount } from "#core/module/instances";

/** What can be chosen at any time; the rest of a change is in `Change`. */
interface Settings extends Options {
  name: string;
  description: string | null;
  liveUpdate: boolean;
  applyOrder: number;
}

export interface NewModule extends Settings {
  type: string;
  /** Base64. */
  contents: string;
  datastore: Bound;
  fullAccess?: boolean;
}

export interface Change extends Partial<Settings> {
  type?: string;
  contents?: string;
  /** What is absent stays; null = any. */
  datastore: { type?: string | null; version?: string | null };
  fullAccess?: boolean;
}

/** Names or ids; absent or null = any. */
interface Bound {
  type?: string | null;
  version?: string | null;
}

/** Makes a module (contract §5.7). The order of refusals is upstream's: type, options, datastore, duplicate. */
export async function create({ type: wantedType, contents: sent, datastore, fullAccess, ...settings }: NewModule, seal: Seal): Promise<Module> {
  const type = typeOf(wantedType);
  checkOptions("create", settings, fullAccess);
  const bound = await bind(datastore);
  const { plain, md5 } = readContents(type, sent);
  const { isAdmin, projectId } = user();
  const id = newId();
  const at = now();
  const row = {
    ...settings,
    id,
    createdAt: at,
    updatedAt: at,
    projectId,
    type,
    datastoreId: bound.store?.id ?? null,
    datastoreVersionId: bound.version?.id ?? null,
    isAdmin: isAdmin && !fullAccess,
    contents: seal.close(plain, id),
    md5,
  };
  const [stored] = await transaction((tx) => tx.insert(module).values(row).onConflictDoNothing().returning());
  if (!stored) throw duplicate(settings.name);
  return { module: stored, datastore: bound.store, version: bound.version };
}

/** Changes what is given. 403 while its present contents are applied somewhere and it is not `live_update` (contract §5.7). */
export async function update(id: string, { type, contents: sent, datastore, fullAccess, ...settings }: Change, seal: Seal): Promise<Module> {
  const { module: before } = await get(id);
  await demandFree("update", before);
  if (before.isAdmin && !user().isAdmin) throw forbiddenModule("update", "it is an administrator's");
  const after = { ...before, ...settings };
  const asked = checkOptions("update", after, fullAccess);
  const bound = await bind({
    type: datastore.type === undefined ? before.datastoreId : datastore.type,
    version: datastore.version === undefined ? before.datastoreVersionId : datastore.version,
  });
  const kind = type === undefined ? before.type : typeOf(type);
  const contents = sent === undefined ? undefined : readContents(kind, sent);
  if (!contents && kind !== before.type) checkContents(kind, seal.open(before.contents, before.id));
  const change = {
    ...settings,
    // Whose it is once it is no longer everybody's (upstream: of who says so).
    ...(settings.shared !== undefined && settings.shared !== before.shared && { projectId: user().projectId }),
    type: kind,
    datastoreId: bound.store?.id ?? null,
    datastoreVersionId: bound.version?.id ?? null,
    isAdmin: fullAccess === undefined ? before.isAdmin || asked : !fullAccess,
    ...(contents && { contents: seal.close(contents.plain, before.id), md5: contents.md5 }),
    updatedAt: now(),
  };
  const [stored] = await transaction((tx) => tx.update(module).set(change).where(asSeen(before)).returning()).catch((error: unknown) => {
    throw isDuplicate(error) ? duplicate(after.name) : error;
  });
  if (!stored) throw meanwhile(before);
  return { module: stored, datastore: bound.store, version: bound.version };
}

/** Removes a module; where it is applied (`live_update` only), what it did stays. */
export async function remove(id: string): Promise<void> {
  const { module: row } = await get(id);
  checkOptions("delete", row, undefined);
  await demandFree("delete", row);
  const [gone] = await transaction((tx) => tx.update(module).set({ deletedAt: now(), updatedAt: now() }).where(asSeen(row)).returning({ id: module.id }));
  if (!gone) throw meanwhile(row);
}

/** How many instances have the present contents applied. */
export async function countInstances({ id, md5 }: Row): Promise<number> {
  const [row] = await read((tx) =>
    tx
      .select({ count: count() })
      .from(instanceModule)
      .where(and(eq(instanceModule.moduleId, id), eq(instanceModule.md5, md5), eq(instanceModule.status, "OK"))),
  );
  return row?.count ?? 0;
}

/** What failed to be applied may be mended; only what was done counts. */
async function demandFree(action: string, row: Row): Promise<void> {
  const holders = row.liveUpdate ? 0 : await countInstances(row);
  if (holders === 0) return;
  throw new AppError("forbidden", `Module ${row.id} is applied to ${holders} instance${holders === 1 ? "" : "s"}: it is not possible to ${action} it.`, {
    reason: "module.applied",
    next: "Remove it from the instances first; a module with live_update can be changed at any time.",
  });
}

async function bind({ type, version }: Bound): Promise<{ store: Datastore.Datastore | null; version: Datastore.Version | null }> {
  if (!type) {
    if (version) throw badRequest("A datastore version needs its datastore.", { reason: "module.datastore", next: "Give datastore.type as well, or all_datastore_versions." });
    return { store: null, version: null };
  }
  const store = Datastore.pick(await Datastore.list(), type);
  return { store, version: version ? Datastore.pickVersion(store, version) : null };
}

const asSeen = (row: Row) => and(eq(module.id, row.id), isNull(module.deletedAt), eq(module.updatedAt, row.updatedAt), eq(module.md5, row.md5));

const meanwhile = ({ id }: Row) => new AppError("conflict", `Module ${id} was changed by another request meanwhile.`, { reason: "module.changed", next: "Look at it, then repeat the request." });

const duplicate = (name: string) =>
  badRequest(`A module '${name}' of this type, project, datastore and version exists already.`, { reason: "module.duplicate", next: "Choose another name." });

/** PostgreSQL's unique_violation, anywhere in the chain of causes. */
function isDuplicate(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) if ("code" in cause && cause.code === "23505") return true;
  return false;
}
