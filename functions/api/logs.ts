import * as z from "zod";
import { AppError } from "#core/error";
import * as Instance from "#core/instance/index";
import { param, taking, type Call, type Handler } from "#functions/api/call";
import { nes } from "#functions/api/fields";
import { logView } from "#functions/api/views/log";

/** Clients send 1; people send true. Absent = no. */
const flag = z.union([z.boolean(), z.literal([0, 1])]).nullish().transform(Boolean);
const Action = z.object({ name: nes, enable: flag, disable: flag, publish: flag, discard: flag });

const noStore = () => new AppError("notImplemented", "Guest logs are published to an object store, and this installation has none.", { reason: "log.no_store" });

/** Refused before anything is read, where there is no object store. */
const stored = (handler: Handler): Handler => Object.assign((call: Call) => (call.objects ? handler(call) : Promise.reject(noStore())), handler);

/** Contract §5.5. */
export const logs = {
  "GET /instances/{id}/log": stored(async (call) => ({ logs: (await Instance.listLogs(param(call, "id"))).map(logView) })),
  "POST /instances/{id}/log": stored(
    taking(Action, async ({ name, ...wish }, call) => {
      const id = param(call, "id");
      const asked = Object.values(wish).some(Boolean);
      return { log: logView(asked ? await Instance.operateLog(id, name, wish, call.reach) : await Instance.showLog(id, name)) };
    }),
  ),
} satisfies Record<string, Handler>;
