import { user } from "#core/context";
import type { Applied, Module, VersionCount } from "#core/module/index";
import type { Seal } from "#core/seal";
import { stamp } from "#core/stamp";

/** What stands for "any" where a name would (contract §2.8). */
const ALL = "all";

/** Which datastore, version and project a module is for, as names. */
const reachOf = ({ module, datastore, version }: Module) => ({
  tenant: module.shared ? ALL : module.projectId,
  datastore: datastore?.name ?? ALL,
  datastore_version: version?.name ?? ALL,
});

/** A module in a list (contract §2.8). */
export const moduleListed = (found: Module) => ({
  id: found.module.id,
  name: found.module.name,
  type: found.module.type,
  description: found.module.description,
  tenant_id: found.module.shared ? null : found.module.projectId,
  datastore_id: found.module.datastoreId,
  datastore_version_id: found.module.datastoreVersionId,
  auto_apply: found.module.autoApply,
  priority_apply: found.module.priorityApply,
  apply_order: found.module.applyOrder,
  is_admin: found.module.isAdmin,
  md5: found.module.md5,
  visible: found.module.visible,
  created: stamp(found.module.createdAt),
  updated: stamp(found.module.updatedAt),
  ...reachOf(found),
});

/** One module. */
export const moduleShown = (found: Module) => ({ ...moduleListed(found), live_update: found.module.liveUpdate });

/** What an instance's guest said of a module (contract §2.4). `seal` = with its contents, as they were applied. */
export const moduleApplied = (found: Applied, seal?: Seal) => ({
  type: found.module.type,
  name: found.module.name,
  ...reachOf(found),
  id: found.module.id,
  md5: found.applied.md5,
  status: found.applied.status,
  message: found.applied.message,
  created: stamp(found.applied.createdAt),
  updated: stamp(found.applied.updatedAt),
  removed: null,
  auto_apply: found.module.autoApply,
  visible: found.module.visible,
  is_admin: found.module.isAdmin,
  ...(seal && { contents: contentsOf(found, seal) }),
});

/** Base64. An administrator's module keeps its contents from members, in words at the same place, as upstream. */
function contentsOf({ module, applied }: Applied, seal: Seal): string | null {
  if (module.isAdmin && !user().isAdmin) return Buffer.from(`Must be admin to retrieve contents for module ${module.name}`).toString("base64");
  return applied.contents && seal.open(applied.contents, module.id).toString("base64");
}

export const versionCounted = (row: VersionCount) => ({
  module_name: row.name,
  module_id: row.id,
  module_md5: row.md5,
  instance_count: row.count,
  current: row.current,
  min_updated_date: stamp(row.first),
  max_updated_date: stamp(row.last),
});
