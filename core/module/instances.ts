import { and, asc, eq, ne, or, sql } from "drizzle-orm";
import { now, user } from "#core/context";
import { read, transaction } from "#core/db/index";
import { enqueue, type Doorbell } from "#core/guest/client";
import { instance } from "#core/instance/instance.sql";
import { listAmong, type Page } from "#core/instance/row";
import { instanceModule } from "#core/module/module.sql";
import { get } from "#core/module/row";

/** A page of the actor's instances to which a module is applied; 404 for an unknown module. */
export async function instancesOf(id: string, page: { limit: number; marker?: string }): Promise<Page> {
  const { module } = await get(id);
  const holders = sql`${instance.id} in (select ${instanceModule.instanceId} from ${instanceModule} where ${instanceModule.moduleId} = ${module.id} and ${instanceModule.status} = 'OK')`;
  return listAmong(holders, page);
}

export interface VersionCount {
  name: string;
  id: string;
  md5: string;
  count: number;
  current: boolean;
  first: Date;
  last: Date;
}

/** How many instances have which contents of a module. */
export async function countByVersion(wanted: string): Promise<VersionCount[]> {
  const { module } = await get(wanted);
  const rows = await read((tx) =>
    tx
      .select({
        md5: instanceModule.md5,
        count: sql<number>`count(*)::int`,
        first: sql<Date>`min(${instanceModule.updatedAt})`.mapWith(instanceModule.updatedAt),
        last: sql<Date>`max(${instanceModule.updatedAt})`.mapWith(instanceModule.updatedAt),
      })
      .from(instanceModule)
      .where(and(eq(instanceModule.moduleId, module.id), eq(instanceModule.status, "OK")))
      .groupBy(instanceModule.md5)
      .orderBy(asc(instanceModule.md5)),
  );
  return rows.map((row) => ({ ...row, name: module.name, id: module.id, current: row.md5 === module.md5 }));
}

export interface Reapply {
  /** Only where these contents are applied. */
  md5?: string;
  /** Also where the present contents are applied already. */
  force: boolean;
  batchSize?: number;
  batchDelaySeconds?: number;
}

/** Contract §7.1: `module_reapply_max_batch_size`, `module_reapply_min_batch_delay`. */
const BATCH = 50;
const DELAY_SECONDS = 2;
/** Of one request; the rest is reached by repeating it, as those that were reached are current then. */
const MOST = 5_000;

/**
 * Accepts that a module is applied anew to the instances that hold it (contract §5.7). A job per instance, committed
 * before the reply; those of later batches may not be fetched before their time.
 */
export async function reapply(wanted: string, { md5, force, batchSize = BATCH, batchDelaySeconds = DELAY_SECONDS }: Reapply, doorbell: Doorbell): Promise<void> {
  const { module } = await get(wanted);
  const { isAdmin, projectId } = user();
  const size = Math.min(batchSize, BATCH);
  const delayMs = Math.max(batchDelaySeconds, DELAY_SECONDS) * 1000;
  const first = await transaction(async (tx) => {
    const rows = await tx
      .select({ instanceId: instance.id, projectId: instance.projectId, generation: instance.generation })
      .from(instanceModule)
      .innerJoin(instance, eq(instance.id, instanceModule.instanceId))
      .where(
        and(
          eq(instanceModule.moduleId, module.id),
          eq(instance.desired, "present"),
          isAdmin ? undefined : eq(instance.projectId, projectId),
          md5 === undefined ? undefined : eq(instanceModule.md5, md5),
          force ? undefined : or(ne(instanceModule.md5, module.md5), eq(instanceModule.status, "ERROR")),
        ),
      )
      .orderBy(asc(instance.id))
      .limit(MOST);
    const began = now().getTime();
    for (const [index, row] of rows.entries()) {
      const batch = Math.floor(index / size);
      await enqueue({ ...row, kind: "apply_modules", spec: { modules: [{ id: module.id }] }, ...(batch > 0 && { notBefore: new Date(began + batch * delayMs) }) });
    }
    return rows.slice(0, size);
  });
  await Promise.all(first.map(({ instanceId }) => doorbell.ring(instanceId)));
}
