import { and, asc, eq, inArray } from "drizzle-orm";
import { user } from "#core/context";
import { read, transaction } from "#core/db/index";
import { datastore, datastoreVersion } from "#core/datastore/datastore.sql";
import { badRequest } from "#core/error";
import { enqueue } from "#core/guest/client";
import type { JobKind, JobSpec } from "#core/guest/protocol";
import { isUuid } from "#core/id";
import { loaded } from "#core/instance/change";
import { refused } from "#core/instance/gate";
import { applicable } from "#core/instance/modules";
import type { Instance } from "#core/instance/row";
import { finish, type Reach } from "#core/instance/work";
import { instanceModule, module } from "#core/module/module.sql";
import { get, unknownModule, type Module } from "#core/module/row";

/** What an instance's guest said of a module. */
export interface Applied extends Module {
  applied: typeof instanceModule.$inferSelect;
}

/** The modules of an instance, as its guest last said; hidden ones for admins only. */
export async function applied(wanted: string, ids?: string[]): Promise<Applied[]> {
  const { id } = await loaded(wanted);
  return read((tx) =>
    tx
      .select({ applied: instanceModule, module, datastore: { name: datastore.name }, version: { name: datastoreVersion.name } })
      .from(instanceModule)
      .innerJoin(module, eq(module.id, instanceModule.moduleId))
      .leftJoin(datastore, eq(datastore.id, module.datastoreId))
      .leftJoin(datastoreVersion, eq(datastoreVersion.id, module.datastoreVersionId))
      .where(and(eq(instanceModule.instanceId, id), ids && inArray(instanceModule.moduleId, ids), user().isAdmin || ids ? undefined : eq(module.visible, true)))
      .orderBy(asc(instanceModule.createdAt), asc(module.id)),
  );
}

/** Applies modules in their order and tells how each went; done when this resolves (contract §5.7). */
export async function apply(wanted: string, wish: string[], reach: Reach): Promise<Applied[]> {
  const row = await present(wanted);
  const [runs] = await read((tx) => tx.select({ datastoreId: datastoreVersion.datastoreId }).from(datastoreVersion).where(eq(datastoreVersion.id, row.datastoreVersionId)));
  if (!runs) throw new Error(`instance ${row.id} has no datastore version`);
  const ids = await applicable(wish, { ...runs, datastoreVersionId: row.datastoreVersionId });
  if (ids.length === 0) return [];
  await work(row, "apply_modules", { modules: ids.map((id) => ({ id })) }, reach);
  return applied(row.id, ids);
}

/** Undoes a module where its type can, and forgets it; 404 for an unknown one, 400 for one that is not applied. */
export async function take(wanted: string, moduleId: string, reach: Reach): Promise<void> {
  const row = await present(wanted);
  if (!isUuid(moduleId)) throw unknownModule(moduleId);
  const id = moduleId.toLowerCase();
  // Not by `get`: one that was deleted since can still be taken away.
  const [held] = await read((tx) =>
    tx
      .select({ type: module.type, visible: module.visible })
      .from(instanceModule)
      .innerJoin(module, eq(module.id, instanceModule.moduleId))
      .where(and(eq(instanceModule.instanceId, row.id), eq(instanceModule.moduleId, id))),
  );
  if (!held) {
    const { module: known } = await get(id);
    throw badRequest(`Module '${known.name}' has not been applied to instance ${row.id}.`, { reason: "module.not_applied" });
  }
  if (!held.visible && !user().isAdmin) throw unknownModule(moduleId);
  await work(row, "remove_module", { id, type: held.type }, reach);
}

/** The load gate alone (contract §3.4), and that it is not going away. */
async function present(wanted: string): Promise<Instance> {
  const row = await loaded(wanted);
  if (row.desired === "absent") throw refused(row, "it is being deleted");
  return row;
}

async function work<K extends JobKind>({ id, projectId, generation }: Instance, kind: K, spec: JobSpec<K>, reach: Reach): Promise<void> {
  const job = await transaction(() => enqueue({ instanceId: id, projectId, generation, kind, spec }));
  await reach.doorbell.ring(id);
  await finish(job, reach);
}
