import * as z from "zod";
import { badRequest } from "#core/error";
import * as Instance from "#core/instance/index";
import { param, type Call, type Handler } from "#functions/api/call";
import { flavorRef, volumeSize } from "#functions/api/fields";
import { forbidden } from "#functions/api/policy";
import { parse } from "#functions/api/validation";

const Restart = z.object({ restart: z.looseObject({}) });
const Resize = z.object({ resize: z.looseObject({ flavorRef: flavorRef.optional(), volume: volumeSize.optional() }) });

/** Contract §5.1. */
const actions: Record<string, (call: Call) => Promise<void>> = {
  restart: (call) => {
    parse(Restart, call.body);
    return Instance.restart(param(call, "id"));
  },
  resize: (call) => {
    const { flavorRef: flavor, volume } = parse(Resize, call.body).resize;
    const id = param(call, "id");
    if (volume) return Instance.resizeVolume(id, volume.size, call.config);
    if (flavor !== undefined) return Instance.resizeFlavor(id, flavor, call.config);
    throw badRequest("resize needs a flavorRef or a volume.", { reason: "action.resize" });
  },
  reset_status: (call) => {
    const { reset_status: payload } = parse(z.object({ reset_status: z.unknown() }), call.body);
    const force = typeof payload === "object" && payload !== null && "force_delete" in payload;
    if (!call.actor.isAdmin && !force) throw forbidden("instance:reset_status");
    const id = param(call, "id");
    // The stored service status is unknown then; a guest that is asked at once says how it is.
    return Instance.resetStatus(id).then(() => call.reach.doorbell.ring(id));
  },
  promote_to_replica_source: (call) => Instance.promote(param(call, "id")),
  eject_replica_source: (call) => Instance.eject(param(call, "id"), call.config),
};

const act: Handler = async (call) => {
  const names = Object.keys(parse(z.looseObject({}), call.body)).filter((name) => Object.hasOwn(actions, name));
  // If several are given, the last one counts (contract §5.1).
  const action = actions[names.at(-1) ?? ""];
  if (!action) throw badRequest(`The body names no action; there are ${Object.keys(actions).join(", ")}.`, { reason: "action.unknown" });
  await action(call);
};

export const actionRoutes = { "POST /instances/{id}/action": act } satisfies Record<string, Handler>;
