import { now } from "#core/context";
import { tellEnd, tellError } from "#core/event/index";
import { sizeOf, tellUsage } from "#core/event/usage";
import type { Outcome } from "#core/operation/operation.sql";
import type { Context } from "#core/workflow/context";
import { stamp } from "#core/stamp";

/** Tells how a run ended, in the transaction that ends it, once the instance is as it will be. */
export async function tell(c: Context, outcome: Outcome, error?: string): Promise<void> {
  const { notice, failure, kind } = c.operation;
  if (outcome === "done") await tellChange(c);
  if (!notice) return;
  if (outcome === "done") return tellEnd(notice);
  const message = failure?.message ?? error ?? `${kind.replaceAll("_", " ")} was ${outcome}.`;
  return tellError(notice, { message, exception: failure?.code ?? outcome });
}

/** For those who charge for instances: contract §8.5. `c.instance` is the instance before. */
async function tellChange({ operation: { kind }, instance: { id, flavorId } }: Context): Promise<void> {
  if (kind === "create" || kind === "create_replica") await tellUsage("create", id);
  if (kind === "resize_flavor") await tellUsage("modify_flavor", id, { old_instance_size: await sizeOf(flavorId), modify_at: stamp(now()) });
  if (kind === "destroy") await tellUsage("delete", id, { deleted_at: stamp(now()) });
}
