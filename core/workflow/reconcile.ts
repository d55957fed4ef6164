import { and, inArray, isNotNull } from "drizzle-orm";
import { read } from "#core/db/index";
import type { Resource, Resources } from "#core/driver/resource";
import { resource } from "#core/instance/instance.sql";
import { log } from "#core/log";
import { call, type Workshop } from "#core/workflow/context";

/**
 * Removes what a tombstone of ours condemns: a create that landed after its instance was gone.
 * Nothing else: what has no row is not ours to judge. Returns how many were removed.
 */
export async function removeCondemned({ compute, network, volumes }: Pick<Workshop, "compute" | "network" | "volumes">): Promise<number> {
  // Servers first: they hold the other two.
  const kinds: Resources<never, Resource>[] = [compute, network, volumes];
  let count = 0;
  for (const kind of kinds) {
    const found = await kind.list(call());
    if (found.length === 0) continue;
    const condemned = await read((tx) =>
      tx
        .select({ name: resource.name })
        .from(resource)
        .where(and(inArray(resource.name, found.map(({ name }) => name)), isNotNull(resource.removedAt))),
    );
    const names = new Set(condemned.map(({ name }) => name));
    for (const one of found.filter(({ name }) => names.has(name))) {
      log.warn("late resource removed", { name: one.name });
      await kind.remove(one.id, call());
      count++;
    }
  }
  return count;
}
