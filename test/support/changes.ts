import { create as createBackup } from "#core/backup/create";
import { resizeFlavor, resizeVolume, restart, updateAccess } from "#core/instance/change";
import { migrate, rebuild, reboot } from "#core/instance/manage";
import { upgrade } from "#core/instance/upgrade";
import { remove } from "#core/instance/remove";
import { createReplicas, type NewReplicas } from "#core/instance/replica";
import { detach, eject, promote } from "#core/instance/set";
import type { Kind } from "#core/operation/index";
import type { World } from "#test/support/world";

export type Change = Exclude<Kind, "create">;

/** Asks for replicas of an instance; the id of the last one. */
export const replicate = (sourceId: string, world: World, wish: Partial<NewReplicas> = {}) =>
  createReplicas({ name: "replica", sourceId, count: 1, nics: [], access: {}, modules: [], ...wish }, world.config).then(({ instance }) => instance.id);

/** How each kind of operation begins at an instance that serves, through what the API calls; where it runs, if that is another one. */
export const changes: Record<Change, (id: string, world: World) => Promise<string | void>> = {
  destroy: async (id) => void (await remove(id)),
  restart: (id) => restart(id),
  resize_flavor: (id, world) => resizeFlavor(id, "2", world.config),
  resize_volume: (id, world) => resizeVolume(id, 3, world.config),
  reboot: (id) => reboot(id),
  migrate: (id) => migrate(id, undefined),
  rebuild: (id, world) => rebuild(id, world.imageId, world.images),
  upgrade: (id, world) => upgrade(id, "17-next", world.images),
  backup: async (id, world) => void (await createBackup({ instanceId: id, name: "nightly", incremental: false }, world.config)),
  update_access: (id) => updateAccess(id, { allowed_cidrs: ["10.0.0.0/8"] }),
  create_replica: (id, world) => replicate(id, world),
  detach_replica: (id) => detach(id),
  promote_replica: (id) => promote(id),
  eject_source: (id, world) => eject(id, world.config),
};

/** A set of a source that serves and two replicas; the id of the last replica. */
async function set(id: string, world: World): Promise<string> {
  const replica = await world.as(world.tenant, () => replicate(id, world, { count: 2 }));
  await world.drive();
  return replica;
}

/** Long after which a guest counts as gone. */
const SILENCE_MS = 600_000;

const ready: Partial<Record<Change, (id: string, world: World) => Promise<string>>> = {
  detach_replica: set,
  promote_replica: set,
  eject_source: async (id, world) => {
    await set(id, world);
    world.clock.advance(SILENCE_MS);
    return id;
  },
};

/** Makes of an instance that serves what that kind of operation is for; at which instance it is to be asked for. */
export const readied = (kind: Change, id: string, world: World): Promise<string> => ready[kind]?.(id, world) ?? Promise.resolve(id);
