import { create as createBackup } from "#core/backup/create";
import { resizeFlavor, resizeVolume, restart, updateAccess } from "#core/instance/change";
import { migrate, rebuild, reboot } from "#core/instance/manage";
import { remove } from "#core/instance/remove";
import type { Kind } from "#core/operation/index";
import type { World } from "#test/support/world";

/** How each kind of operation begins at an instance that serves, through what the API calls. */
export const changes: Record<Exclude<Kind, "create">, (id: string, world: World) => Promise<void>> = {
  destroy: async (id) => void (await remove(id)),
  restart: (id) => restart(id),
  resize_flavor: (id, world) => resizeFlavor(id, "2", world.config),
  resize_volume: (id, world) => resizeVolume(id, 3, world.config),
  reboot: (id) => reboot(id),
  migrate: (id) => migrate(id, undefined),
  rebuild: (id, world) => rebuild(id, world.imageId, world.images),
  backup: async (id, world) => void (await createBackup({ instanceId: id, name: "nightly", incremental: false }, world.config)),
  update_access: (id) => updateAccess(id, { allowed_cidrs: ["10.0.0.0/8"] }),
};
