import * as z from "zod";
import * as Instance from "#core/instance/index";
import { param, taking, type Handler } from "#functions/api/call";
import { nes, uuid } from "#functions/api/fields";
import { unknownPath } from "#functions/api/instances";
import { flag, limitOf, offsetMarker } from "#functions/api/paging";
import { diagnosticsView, hardwareView, managed, managedDetail, rootHistoryView } from "#functions/api/views/management";

/** Trove has no cap here; a page of this size is still one reasonable reply. */
const CAP = 1000;

const payload = z.looseObject({});
const Action = z.union([
  z.strictObject({ stop: payload }),
  z.strictObject({ reboot: payload }),
  z.strictObject({ migrate: z.looseObject({ host: nes.optional() }) }),
  z.strictObject({ "reset-task-status": z.unknown() }),
  z.strictObject({ rebuild: z.strictObject({ image_id: uuid }) }),
]);

/** Contract §5.3: exactly one action. */
const act = taking(Action, async (wish, call) => {
  const id = param(call, "id");
  if ("stop" in wish) return Instance.stop(id, call.reach);
  if ("reboot" in wish) return Instance.reboot(id);
  if ("migrate" in wish) return Instance.migrate(id, wish.migrate.host);
  if ("rebuild" in wish) return Instance.rebuild(id, wish.rebuild.image_id, call.images);
  return Instance.resetTask(id);
});

/** What administrators see of every project's instances (contract §1.4). */
export const management = {
  "GET /mgmt/instances": async (call) => {
    const deleted = flag(call, "deleted");
    const projectId = call.query.get("project_id");
    const { rows, next } = await Instance.listEverywhere({
      limit: limitOf(call, CAP),
      offset: offsetMarker(call),
      ...(deleted !== undefined && { deleted }),
      ...(projectId !== null && { projectId }),
    });
    return { instances: rows.map((row) => managed(row, call)), ...call.links.next(next) };
  },
  "GET /mgmt/instances/{id}": async (call) => {
    const deleted = flag(call, "deleted") === true;
    const detail = await Instance.get(param(call, "id"), { deleted });
    return { instance: managedDetail(detail, await Instance.lastRoot(detail.instance.id), call) };
  },
  "POST /mgmt/instances/{id}/action": act,
  "GET /mgmt/instances/{id}/diagnostics": async (call) => ({ diagnostics: diagnosticsView(await Instance.diagnostics(param(call, "id"), call.reach)) }),
  "GET /mgmt/instances/{id}/hwinfo": async (call) => ({ hwinfo: hardwareView(await Instance.hardware(param(call, "id"), call.reach)) }),
  "GET /mgmt/instances/{id}/rpc_ping": (call) => Instance.ping(param(call, "id"), call.reach),
  // Upstream never answered it, so nobody can rely on it (contract §11). The owner upgrades by PUT.
  "POST /mgmt/instances/{id}/upgrade": () => Promise.reject(unknownPath()),
  "GET /mgmt/instances/{id}/root": async (call) => {
    const { instance } = await Instance.get(param(call, "id"));
    return { root_history: rootHistoryView(instance.id, await Instance.lastRoot(instance.id)) };
  },
} satisfies Record<string, Handler>;
