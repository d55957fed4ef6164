import { and, eq, isNull } from "drizzle-orm";
import { backup } from "#core/backup/backup.sql";
import { configuration } from "#core/configuration/configuration.sql";
import { now } from "#core/context";
import { transaction } from "#core/db/index";
import { datastoreVersion } from "#core/datastore/datastore.sql";
import { getManaged, unpoint } from "#core/datastore/manage";
import { datastoreParameter } from "#core/datastore/parameter.sql";
import { badRequest } from "#core/error";
import { instance } from "#core/instance/instance.sql";

/**
 * Takes a version away; 400 while an instance, a backup or a configuration group has it. An instance that is accepted in
 * the same moment keeps running on it: the row stays, for it and for those that are gone.
 */
export async function removeVersion(id: string): Promise<void> {
  const { store, version } = await getManaged(id);
  await transaction(async (tx) => {
    await tx.select({ id: datastoreVersion.id }).from(datastoreVersion).where(eq(datastoreVersion.id, version.id)).for("update");
    const users = await Promise.all([
      tx.select({ id: instance.id }).from(instance).where(and(eq(instance.datastoreVersionId, version.id), isNull(instance.deletedAt))).limit(1),
      tx.select({ id: backup.id }).from(backup).where(and(eq(backup.datastoreVersionId, version.id), isNull(backup.deletedAt))).limit(1),
      tx.select({ id: configuration.id }).from(configuration).where(and(eq(configuration.datastoreVersionId, version.id), isNull(configuration.deletedAt))).limit(1),
    ]);
    const at = users.findIndex((rows) => rows.length > 0);
    if (at >= 0) {
      throw badRequest(`Datastore version '${version.name}' is in use by ${["an instance", "a backup", "a configuration group"][at]}.`, {
        reason: "datastore.version_in_use",
        next: "Deactivate it, so that nothing new begins with it.",
      });
    }
    await tx.update(datastoreParameter).set({ deletedAt: now(), origin: "admin" }).where(eq(datastoreParameter.datastoreVersionId, version.id));
    await tx.update(datastoreVersion).set({ deletedAt: now(), active: false }).where(eq(datastoreVersion.id, version.id));
    await unpoint(store.id, version.id);
  });
}
