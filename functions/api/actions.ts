import * as z from "zod";
import { badRequest } from "#core/error";
import * as Instance from "#core/instance/index";
import { param, taking, type Call, type Handler } from "#functions/api/call";
import { flavorRef, volumeSize } from "#functions/api/fields";
import { forbidden } from "#functions/api/policy";
import { parse } from "#functions/api/validation";

const Restart = z.looseObject({ restart: z.looseObject({}) });
const Resize = z.looseObject({ resize: z.looseObject({ flavorRef: flavorRef.optional(), volume: volumeSize.optional() }) });
const Reset = z.looseObject({ reset_status: z.unknown() });
const Promote = z.looseObject({ promote_to_replica_source: z.unknown() });
const Eject = z.looseObject({ eject_replica_source: z.unknown() });

/** Contract §5.1. */
const actions: Record<string, Handler> = {
  restart: taking(Restart, (_, call) => Instance.restart(param(call, "id"))),
  resize: taking(Resize, async ({ resize: { flavorRef: flavor, volume } }, call) => {
    const id = param(call, "id");
    if (volume) return Instance.resizeVolume(id, volume.size, call.config);
    if (flavor !== undefined) return Instance.resizeFlavor(id, flavor, call.config);
    throw badRequest("resize needs a flavorRef or a volume.", { reason: "action.resize" });
  }),
  reset_status: taking(Reset, async ({ reset_status: payload }, call) => {
    const force = typeof payload === "object" && payload !== null && "force_delete" in payload;
    if (!call.actor.isAdmin && !force) throw forbidden("instance:reset_status");
    const id = param(call, "id");
    await Instance.resetStatus(id);
    // The stored service status is unknown then; a guest that is asked at once says how it is.
    await call.reach.doorbell.ring(id);
  }),
  promote_to_replica_source: taking(Promote, (_, call) => Instance.promote(param(call, "id"))),
  eject_replica_source: taking(Eject, (_, call) => Instance.eject(param(call, "id"), call.config)),
};

const act = async (call: Call) => {
  const names = Object.keys(parse(z.looseObject({}), call.body)).filter((name) => Object.hasOwn(actions, name));
  // If several are given, the last one counts (contract §5.1).
  const action = actions[names.at(-1) ?? ""];
  if (!action) throw badRequest(`The body names no action; there are ${Object.keys(actions).join(", ")}.`, { reason: "action.unknown" });
  await action(call);
};

const bodies = Object.values(actions).flatMap(({ body }) => body ?? []);

export const actionRoutes = { "POST /instances/{id}/action": Object.assign(act, { body: z.union(bodies) }) } satisfies Record<string, Handler>;
