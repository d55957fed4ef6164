import { and, eq, isNull } from "drizzle-orm";
import { backup } from "#core/backup/backup.sql";
import { objectCall } from "#core/backup/objects";
import { containerOf, manifestOf, placeAt } from "#core/backup/place";
import { get, type Backup } from "#core/backup/row";
import type { Config } from "#core/config";
import { newId, now, user } from "#core/context";
import { getManaged } from "#core/datastore/manage";
import { read, transaction } from "#core/db/index";
import type { ObjectStore } from "#core/driver/objectstore";
import { badRequest } from "#core/error";
import { charge, defaultLimits } from "#core/quota/index";

export interface Registration {
  name: string;
  description?: string;
  /** Address of a manifest, as backups show it. */
  location: string;
  datastoreVersionId: string;
  sizeGb: number;
}

/**
 * Registers what is stored already as a backup of its own, RESTORED at once (contract §6.12, `restore_from`); its objects
 * stay when it is deleted. They open with the key that they were made with, so they must be of a backup of the same project here.
 */
export async function register(wish: Registration, store: { objects: ObjectStore; root: string } | undefined, config: Config): Promise<Backup> {
  const { version } = await getManaged(wish.datastoreVersionId);
  const { projectId, userId } = user();
  const unreachable = (why: string) => badRequest(`restore_from: there is no backup to be had at '${wish.location.slice(0, 200)}': ${why}.`, { reason: "backup.location", next: "Give the locationRef of a backup of this project." });
  const place = store && placeAt(store.root, wish.location);
  if (!store || !place) throw unreachable("it is no address of this installation's object store");
  if (place.projectId !== projectId) throw unreachable("it is in another project's account");
  const found = await store.objects.head(containerOf(place), manifestOf(place.prefix), objectCall());
  if (!found) throw unreachable("nothing is stored there");
  const [source] = await read((tx) =>
    tx
      .select()
      .from(backup)
      .where(and(eq(backup.projectId, projectId), eq(backup.container, place.container), eq(backup.prefix, place.prefix), eq(backup.state, "COMPLETED"), isNull(backup.deletedAt))),
  );
  if (!source) throw unreachable("the key of what is stored there is not known here");
  const id = newId();
  const at = now();
  await transaction(async (tx) => {
    await tx.insert(backup).values({
      id,
      createdAt: at,
      updatedAt: at,
      projectId,
      createdBy: userId,
      name: wish.name,
      description: wish.description ?? null,
      datastoreVersionId: version.id,
      state: "RESTORED",
      container: place.container,
      prefix: place.prefix,
      objectsOf: source.objectsOf,
      checksum: source.checksum,
      dataBytes: Math.round(wish.sizeGb * 2 ** 30),
      rootEnabled: source.rootEnabled,
    });
    await charge(projectId, { backups: 1 }, defaultLimits(config));
  });
  return get(id);
}
