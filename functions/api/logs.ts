import * as z from "zod";
import { AppError } from "#core/error";
import * as Instance from "#core/instance/index";
import { param, type Call, type Handler } from "#functions/api/call";
import { nes } from "#functions/api/fields";
import { parse } from "#functions/api/validation";
import { logView } from "#functions/api/views/log";

/** Clients send 1; people send true. Absent = no. */
const flag = z.union([z.boolean(), z.literal([0, 1])]).nullish().transform(Boolean);
const Action = z.object({ name: nes, enable: flag, disable: flag, publish: flag, discard: flag });

function demandStore(call: Call): void {
  if (call.objects) return;
  throw new AppError("notImplemented", "Guest logs are published to an object store, and this installation has none.", { reason: "log.no_store" });
}

/** Contract §5.5. */
export const logs = {
  "GET /instances/{id}/log": async (call) => {
    demandStore(call);
    return { logs: (await Instance.listLogs(param(call, "id"))).map(logView) };
  },
  "POST /instances/{id}/log": async (call) => {
    demandStore(call);
    const { name, ...wish } = parse(Action, call.body);
    const id = param(call, "id");
    const asked = Object.values(wish).some(Boolean);
    return { log: logView(asked ? await Instance.operateLog(id, name, wish, call.reach) : await Instance.showLog(id, name)) };
  },
} satisfies Record<string, Handler>;
