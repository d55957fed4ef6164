import { and, eq, inArray, isNull, or } from "drizzle-orm";
import { user } from "#core/context";
import { inside, read } from "#core/db/index";
import { badRequest } from "#core/error";
import { instanceModule, module } from "#core/module/module.sql";

/** What an instance runs. */
interface Runs {
  datastoreId: string;
  datastoreVersionId: string;
}

/**
 * Those of the named modules that the actor may apply, hidden ones included; others are dropped, as upstream does
 * (contract §2.1). 400 for one that is bound to another datastore or version.
 */
export async function applicable(ids: string[], runs: Runs): Promise<string[]> {
  if (ids.length === 0) return [];
  const { isAdmin, projectId } = user();
  const rows = await read((tx) =>
    tx
      .select({ id: module.id, name: module.name, datastoreId: module.datastoreId, datastoreVersionId: module.datastoreVersionId })
      .from(module)
      .where(and(inArray(module.id, ids), isNull(module.deletedAt), isAdmin ? undefined : or(eq(module.projectId, projectId), eq(module.shared, true)))),
  );
  for (const row of rows) {
    const other = row.datastoreId !== null && row.datastoreId !== runs.datastoreId ? "datastore" : row.datastoreVersionId !== null && row.datastoreVersionId !== runs.datastoreVersionId ? "datastore version" : undefined;
    if (other) throw badRequest(`Module '${row.name}' is for another ${other} than the instance's.`, { reason: "module.datastore" });
  }
  return rows.map(({ id }) => id);
}

/** What an instance that is to be removed held is held by nobody any more. In the open transaction. */
export async function forgetModules(instanceId: string): Promise<void> {
  await inside().delete(instanceModule).where(eq(instanceModule.instanceId, instanceId));
}
