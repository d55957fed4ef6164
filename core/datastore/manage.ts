import { and, eq, isNull, sql } from "drizzle-orm";
import { newId, now } from "#core/context";
import { inside, read, transaction } from "#core/db/index";
import { datastore, datastoreVersion } from "#core/datastore/datastore.sql";
import { demandImage, type Images } from "#core/datastore/image";
import { list, managers, pick, type Datastore, type Version } from "#core/datastore/index";
import { badRequest } from "#core/error";

/** A version with the datastore it belongs to. */
export interface Managed {
  store: Datastore;
  version: Version;
}

/** What a version is; contract §2.9. */
export interface VersionRule {
  name: string;
  manager: string;
  active: boolean;
  image: string;
  imageTags: string[];
  packages: string[];
  registryExt: string;
  replStrategy: string;
}

export interface NewVersion extends VersionRule {
  datastoreName: string;
  /** The exact number. */
  version: string;
  isDefault: boolean;
}

/** Every version of every datastore, inactive ones too. */
export const listManaged = async (): Promise<Managed[]> => (await list()).flatMap((store) => store.versions.map((version) => ({ store, version })));

/** 400 for an unknown one, as everywhere where a version is named by its id alone (contract §4.2). */
export async function getManaged(id: string): Promise<Managed> {
  const found = (await listManaged()).find(({ version }) => version.id === id.toLowerCase());
  if (!found) throw badRequest(`Datastore version '${id}' cannot be found.`, { reason: "datastore.version_unknown" });
  return found;
}

/** Adds a version, and its datastore if there is none of that name (contract §2.9). */
export async function createVersion(wish: NewVersion, images: Images): Promise<void> {
  const { datastoreName, isDefault, ...rule } = wish;
  checkManager(rule.manager);
  await checkImage(images, rule, rule.version);
  const id = newId();
  await transaction(async (tx) => {
    const store = await holdStore(datastoreName, rule.manager);
    await demandNew(store.id, rule.name, rule.version);
    await tx.insert(datastoreVersion).values({ id, datastoreId: store.id, ...rule });
    if (isDefault) await point(store.id, id);
  });
}

/** Changes what is named; `image_tags` without `image` leave the choice to the tags (contract §2.9). */
export async function changeVersion(id: string, change: Partial<VersionRule>, isDefault: boolean | undefined, images: Images): Promise<void> {
  const { store, version } = await getManaged(id);
  const set = { ...change, ...(change.imageTags && change.image === undefined && { image: "" }) };
  if (set.manager !== undefined) checkManager(set.manager);
  const after = { ...version, ...set };
  if (change.image !== undefined || change.imageTags || change.manager !== undefined) await checkImage(images, after, version.version);
  await transaction(async (tx) => {
    await tx.select({ id: datastore.id }).from(datastore).where(eq(datastore.id, store.id)).for("update");
    if (set.name !== undefined && set.name !== version.name) await demandNew(store.id, set.name, version.version);
    if (Object.keys(set).length > 0) await tx.update(datastoreVersion).set(set).where(eq(datastoreVersion.id, version.id));
    if (isDefault === true) await point(store.id, version.id);
    if (isDefault === false) await unpoint(store.id, version.id);
  });
}

/** Takes a datastore away; 404 for an unknown one, 400 while it has versions. */
export async function removeStore(wanted: string): Promise<void> {
  const { id, name } = pick(await list(), wanted);
  await transaction(async (tx) => {
    await tx.select({ id: datastore.id }).from(datastore).where(eq(datastore.id, id)).for("update");
    const left = await tx.select({ id: datastoreVersion.id }).from(datastoreVersion).where(and(eq(datastoreVersion.datastoreId, id), isNull(datastoreVersion.deletedAt))).limit(1);
    if (left.length > 0) throw badRequest(`Datastore '${name}' still has versions.`, { reason: "datastore.in_use", next: "Delete its versions first." });
    await tx.update(datastore).set({ deletedAt: now() }).where(eq(datastore.id, id));
  });
}

/** The live datastore of that name, made or revived if need be, and locked. */
async function holdStore(name: string, manager: string) {
  const [store] = await inside()
    .insert(datastore)
    .values({ id: newId(), name, manager })
    // A name once deleted begins anew under its old id: rows of what is gone still point there.
    .onConflictDoUpdate({ target: datastore.name, set: { deletedAt: null, manager: sql`case when ${datastore.deletedAt} is null then ${datastore.manager} else ${manager} end` } })
    .returning({ id: datastore.id });
  if (!store) throw new Error("the datastore was not stored");
  return store;
}

/** Judged under the datastore's lock, so that of two at once one is refused. */
async function demandNew(datastoreId: string, name: string, version: string): Promise<void> {
  const same = and(eq(datastoreVersion.datastoreId, datastoreId), eq(datastoreVersion.name, name), eq(datastoreVersion.version, version), isNull(datastoreVersion.deletedAt));
  const found = await read((tx) => tx.select({ id: datastoreVersion.id }).from(datastoreVersion).where(same).limit(1));
  if (found.length > 0) throw badRequest(`Datastore version '${name}' with the number ${version} exists already.`, { reason: "datastore.version_exists" });
}

const point = (storeId: string, versionId: string) =>
  inside()
    .update(datastore)
    .set({ defaultVersionId: versionId })
    .where(and(eq(datastore.id, storeId), sql`${datastore.defaultVersionId} is distinct from ${versionId}`));

/** Leaves a datastore without default, if this version is it. */
export const unpoint = (storeId: string, versionId: string) =>
  inside().update(datastore).set({ defaultVersionId: null }).where(and(eq(datastore.id, storeId), eq(datastore.defaultVersionId, versionId)));

function checkManager(manager: string): void {
  if (managers.includes(manager)) return;
  throw badRequest(`datastore_manager must be one of ${managers.join(", ")}, not '${manager}'.`, { reason: "datastore.manager" });
}

async function checkImage(images: Images, { image, imageTags, manager }: Pick<VersionRule, "image" | "imageTags" | "manager">, version: string): Promise<void> {
  if (image === "" && imageTags.length === 0) throw badRequest("Either image or image_tags must be given.", { reason: "image.missing" });
  const wanted = [...(image === "" ? [] : [{ id: image }]), ...(imageTags.length > 0 ? [{ tags: imageTags }] : [])];
  for (const one of wanted) await demandImage(images, one, { manager, version });
}
