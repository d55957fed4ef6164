import * as z from "zod";
import * as Instance from "#core/instance/index";
import { param, taking, type Handler } from "#functions/api/call";

/** Any text that is not empty will do as a password (contract §7.5). */
const Root = z.object({ password: z.string().min(1).max(255).optional() }).optional();

export const root = {
  "GET /instances/{id}/root": async (call) => ({ rootEnabled: await Instance.rootEnabled(param(call, "id")) }),
  "POST /instances/{id}/root": taking(Root, async (wish, call) => {
    const password = await Instance.enableRoot(param(call, "id"), wish?.password, call.reach);
    return { user: { name: "root", password } };
  }),
  "DELETE /instances/{id}/root": (call) => Instance.disableRoot(param(call, "id"), call.reach),
} satisfies Record<string, Handler>;
