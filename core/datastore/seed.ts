import { and, eq, notInArray, sql } from "drizzle-orm";
import { createHash } from "node:crypto";
import { inside } from "#core/db/index";
import { datastore, datastoreVersion } from "#core/datastore/datastore.sql";
import { datastoreParameter } from "#core/datastore/parameter.sql";
import { factsOf } from "#core/parameter/index";

export interface DatastoreSeed {
  name: string;
  manager: string;
  /** `name` is what users type (`17`), `version` the exact number (`17.10`). */
  versions: { name: string; version: string; isDefault?: boolean; image?: string }[];
}

/** The same name has the same id in every installation, so that scripts can be carried over. Shape of a UUIDv5. */
export function nameId(...parts: string[]): string {
  const hash = createHash("sha256").update(["coffer", ...parts].join("\0")).digest("hex");
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-5${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
}

/**
 * Makes the stored datastores say what is given, in the open transaction. What an admin changed
 * since (default version, active or not, deleted) stays, and so do versions that are no longer named:
 * instances may run them.
 */
export async function seed(stores: DatastoreSeed[]): Promise<void> {
  const tx = inside();
  for (const { name, manager, versions } of stores) {
    await tx
      .insert(datastore)
      .values({ id: nameId(name), name, manager })
      .onConflictDoUpdate({ target: datastore.name, set: { manager } });
    const [store] = await tx.select({ id: datastore.id }).from(datastore).where(eq(datastore.name, name));
    if (!store || versions.length === 0) continue;
    const before = await tx.select({ id: datastoreVersion.id }).from(datastoreVersion).where(eq(datastoreVersion.datastoreId, store.id)).limit(1);
    await tx
      .insert(datastoreVersion)
      .values(versions.map((one) => ({ id: nameId(name, one.name), datastoreId: store.id, name: one.name, version: one.version, manager, image: one.image ?? "" })))
      .onConflictDoUpdate({
        target: datastoreVersion.id,
        set: { version: sql`excluded.version`, manager: sql`excluded.manager` },
      });
    for (const one of versions) await seedParameters(nameId(name, one.name), factsOf(manager, one.version));
    const first = versions.find((one) => one.isDefault) ?? versions[0];
    // Later, whether there is a default is an admin's word.
    if (!first || before.length > 0) continue;
    await tx.update(datastore).set({ defaultVersionId: nameId(name, first.name) }).where(eq(datastore.id, store.id));
  }
}

/** Makes the stored parameters of a version those its server tells, but for what an administrator has said of one. */
async function seedParameters(datastoreVersionId: string, facts: ReturnType<typeof factsOf>): Promise<void> {
  if (facts.length === 0) return;
  const tx = inside();
  const untouched = eq(datastoreParameter.origin, "server");
  await tx
    .insert(datastoreParameter)
    .values(
      facts.map(({ name, type, min, max, unit, values, restart }) => ({
        datastoreVersionId, name, type, min: min ?? null, max: max ?? null, unit: unit ?? null, values: values ?? null, restartRequired: restart ?? false, origin: "server" as const,
      })),
    )
    .onConflictDoUpdate({
      target: [datastoreParameter.datastoreVersionId, datastoreParameter.name],
      set: {
        type: sql`excluded.type`,
        min: sql`excluded.min`,
        max: sql`excluded.max`,
        unit: sql`excluded.unit`,
        values: sql`excluded.values`,
        restartRequired: sql`excluded.restart_required`,
      },
      setWhere: untouched,
    });
  const gone = notInArray(datastoreParameter.name, facts.map(({ name }) => name));
  await tx.delete(datastoreParameter).where(and(eq(datastoreParameter.datastoreVersionId, datastoreVersionId), untouched, gone));
}
