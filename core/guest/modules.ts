import { and, asc, desc, eq, inArray, isNull, or } from "drizzle-orm";
import { now } from "#core/context";
import { datastoreVersion } from "#core/datastore/datastore.sql";
import { inside, read } from "#core/db/index";
import { AppError } from "#core/error";
import { jobs, ModulesResult, type JobKind, type JobResult, type Module } from "#core/guest/protocol";
import { instance } from "#core/instance/instance.sql";
import { log } from "#core/log";
import { instanceModule, module } from "#core/module/module.sql";
import type { Seal } from "#core/seal";

/** Of those that administrators have every new instance given; more are left out, and logged. */
const MOST_AUTOMATIC = 100;

/**
 * What a job says to a guest, with the contents of its modules. They are opened here and nowhere else on their way: the
 * job's row names modules only. A new instance gets those that apply by themselves too (contract §2.1).
 */
export async function handOver(instanceId: string, kind: JobKind, spec: Record<string, unknown>, seal: Seal): Promise<Record<string, unknown>> {
  if (kind !== "prepare" && kind !== "apply_modules") return spec;
  const asked = named(spec);
  const wanted = kind === "prepare" ? [...asked, ...(await automatic(instanceId))] : asked;
  if (wanted.length === 0) return spec;
  const rows = await read((tx) =>
    tx
      .select()
      .from(module)
      .where(inArray(module.id, wanted))
      .orderBy(desc(module.priorityApply), asc(module.applyOrder), asc(module.id)),
  );
  const modules: Module[] = rows.map((row) => ({ id: row.id, work: { type: row.type, name: row.name, md5: row.md5, contents: opened(row, seal) } }));
  return { ...spec, modules };
}

const named = (spec: Record<string, unknown>): string[] => jobs.apply_modules.safeParse(spec).data?.modules.map(({ id }) => id) ?? [];

/** A key that was lost takes one module away, not the guest's whole queue. */
function opened({ id, contents }: typeof module.$inferSelect, seal: Seal): string | null {
  try {
    return seal.open(contents, id).toString("base64");
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    log.error("the contents of a module cannot be opened", { module: id, reason: error.reason });
    return null;
  }
}

async function automatic(instanceId: string): Promise<string[]> {
  const rows = await read((tx) =>
    tx
      .select({ id: module.id })
      .from(module)
      .innerJoin(instance, eq(instance.id, instanceId))
      .innerJoin(datastoreVersion, eq(datastoreVersion.id, instance.datastoreVersionId))
      .where(
        and(
          eq(module.autoApply, true),
          isNull(module.deletedAt),
          or(eq(module.shared, true), eq(module.projectId, instance.projectId)),
          or(isNull(module.datastoreId), eq(module.datastoreId, datastoreVersion.datastoreId)),
          or(isNull(module.datastoreVersionId), eq(module.datastoreVersionId, datastoreVersion.id)),
        ),
      )
      .orderBy(desc(module.priorityApply), asc(module.applyOrder), asc(module.id))
      .limit(MOST_AUTOMATIC + 1),
  );
  if (rows.length > MOST_AUTOMATIC) log.error("there are more modules that apply by themselves than an instance gets", { instance: instanceId, most: MOST_AUTOMATIC });
  return rows.slice(0, MOST_AUTOMATIC).map(({ id }) => id);
}

/** Stores, in the open transaction, what the end of a job means for the modules of its instance. */
export async function settleModules({ instanceId, projectId }: { instanceId: string; projectId: string }, kind: JobKind, result: JobResult, spec: Record<string, unknown>): Promise<void> {
  if (!result.ok) return;
  if (kind === "remove_module") {
    const { id } = jobs.remove_module.parse(spec);
    await inside().delete(instanceModule).where(and(eq(instanceModule.instanceId, instanceId), eq(instanceModule.moduleId, id)));
  }
  if (kind !== "prepare" && kind !== "apply_modules") return;
  const { data: answer } = ModulesResult.safeParse(result.result);
  if (!answer || answer.modules.length === 0) return;
  // Of one that is to go the rows have been removed already; the guest's report holds its row.
  const [row] = await inside().select({ desired: instance.desired }).from(instance).where(eq(instance.id, instanceId));
  if (row?.desired !== "present") return;
  // Not whatever it names: what is noted of a module can be read by whoever owns the instance.
  const given = new Set([...named(spec), ...(kind === "prepare" ? await automatic(instanceId) : [])]);
  const said = new Map(answer.modules.filter(({ id }) => given.has(id)).map((one) => [one.id, one]));
  if (said.size === 0) return;
  const known = await inside()
    .select({ id: module.id, md5: module.md5, contents: module.contents })
    .from(module)
    .where(inArray(module.id, [...said.keys()]));
  const at = now();
  for (const { id, md5, contents } of known) {
    const one = said.get(id);
    if (!one) continue;
    const kept = { status: one.status, message: one.message, md5: one.md5, contents: one.md5 === md5 ? contents : null, updatedAt: at };
    await inside()
      .insert(instanceModule)
      .values({ instanceId, moduleId: id, projectId, createdAt: at, ...kept })
      .onConflictDoUpdate({ target: [instanceModule.instanceId, instanceModule.moduleId], set: kept });
  }
}
