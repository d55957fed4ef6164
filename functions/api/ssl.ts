import * as z from "zod";
import { badRequest } from "#core/error";
import * as Ssl from "#core/ssl/index";
import { param, taking, type Call, type Handler } from "#functions/api/call";
import { stamp } from "#core/stamp";

/** Clients send `true` as well as 1; what is false is as good as absent. */
const flag = z.union([z.boolean(), z.literal(0), z.literal(1)]).nullish().transform(Boolean);
const ref = z.string().min(1).max(1024);
const Action = z.object({
  ssl: z.object({
    enable: flag,
    disable: flag,
    rollback: flag,
    mode: z.enum(["basic", "enforced", "mtls"]).nullish(),
    container_ref: ref.nullish(),
    password_ref: ref.nullish(),
  }),
});
type Action = z.output<typeof Action>["ssl"];

const caller = ({ secrets, token, reach }: Call): Ssl.Caller => ({ ...(secrets && { secrets }), token, reach });

/** PostgreSQL takes a certificate by a reload. */
const done = { ssl: { restart_required: false } };

const wishOf = ({ mode, container_ref, password_ref }: Action): Ssl.Wish => {
  if (!container_ref) throw badRequest("ssl['container_ref'] is required to enable SSL.", { reason: "ssl.container" });
  return { mode: mode ?? "basic", containerRef: container_ref, ...(password_ref && { passwordRef: password_ref }) };
};

/** TLS of an instance: contract §5.6. */
export const ssl = {
  "GET /instances/{id}/ssl": async (call) => {
    const { mode, certificate } = await Ssl.show(param(call, "id"));
    const payload = /^(1|t|true|on|y|yes)$/i.test(call.query.get("include_certificate") ?? "");
    return {
      ssl: {
        status: "on",
        mode,
        ...(certificate && { certificate: { cn: certificate.cn, expire_at: stamp(certificate.expiresAt), san: certificate.san, ...(payload && { payload: certificate.payload }) } }),
      },
    };
  },
  "POST /instances/{id}/ssl": taking(Action, async ({ ssl: wish }, call) => {
    const id = param(call, "id");
    const asked = (["enable", "disable", "rollback"] as const).filter((one) => wish[one]);
    if (asked.length > 1) throw badRequest(`Only one of ${asked.join(", ")} can be asked for at a time.`, { reason: "ssl.several" });
    switch (asked[0]) {
      case "enable":
        await Ssl.enable(id, wishOf(wish), caller(call));
        return done;
      case "disable":
        await Ssl.disable(id, caller(call));
        return done;
      case "rollback":
        return { ssl: { status: "on", ...done.ssl, mode: await Ssl.rollback(id, caller(call)) } };
      case undefined:
        await Ssl.reapply(id, caller(call));
        return done;
    }
  }),
} satisfies Record<string, Handler>;
