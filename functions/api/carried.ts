import { badRequest } from "#core/error";
import type { Call } from "#functions/api/call";

/** Refuses (400) new names that no later path could name here; see `functions/aws/gateway.ts`. */
export function checkCarried(call: Call, things: { name?: string | undefined }[] | undefined): void {
  for (const { name } of things ?? []) {
    const why = name === undefined ? undefined : call.carries(name);
    if (why) throw badRequest(`The name '${name}' is not allowed in this installation: ${why}.`, { reason: "name.carried" });
  }
}
