import * as Instance from "#core/instance/index";
import { param, type Handler } from "#functions/api/call";
import { flag, limitOf, offsetMarker } from "#functions/api/paging";
import { managed, managedDetail } from "#functions/api/views/management";

/** Trove has no cap here; a page of this size is still one reasonable reply. */
const CAP = 1000;

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
} satisfies Record<string, Handler>;
