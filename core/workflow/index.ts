import type { Kind } from "#core/operation/index";
import { updateAccess } from "#core/workflow/access";
import { backup } from "#core/workflow/backup";
import { create } from "#core/workflow/create";
import type { Workflow } from "#core/workflow/define";
import { destroy } from "#core/workflow/destroy";
import { ejectSource } from "#core/workflow/eject";
import { promoteReplica } from "#core/workflow/promote";
import { createReplica, detachReplica } from "#core/workflow/replica";
import { migrate, reboot } from "#core/workflow/reboot";
import { rebuild } from "#core/workflow/rebuild";
import { resizeFlavor, resizeVolume } from "#core/workflow/resize";
import { restart } from "#core/workflow/restart";
import { upgrade } from "#core/workflow/upgrade";

/** Every kind of operation has its workflow. */
export const workflows = {
  create,
  destroy,
  restart,
  resize_flavor: resizeFlavor,
  resize_volume: resizeVolume,
  update_access: updateAccess,
  reboot,
  migrate,
  rebuild,
  upgrade,
  backup,
  create_replica: createReplica,
  detach_replica: detachReplica,
  promote_replica: promoteReplica,
  eject_source: ejectSource,
} satisfies Record<Kind, Workflow>;
