import { describe } from "#core/error";
import type { Doorbell } from "#core/guest/client";
import { connectionOf, gone } from "#core/guest/doorbell";
import { log } from "#core/log";
import { createSigned, type Caller } from "#functions/aws/signed";

/** Says nothing; a message without a byte is one that the API's reference does not speak of. */
const RING = "!";
/** A ring is a kindness: one try, and no request waits longer for it than this. Milliseconds. */
const TIMEOUT = 1_000;

/**
 * Rings over a WebSocket API of API Gateway by PostToConnection; `endpoint` is that of its management,
 * `https://<host>/<stage>`. To be used inside a context whose actor may see the instance.
 */
export function createDoorbell(endpoint: string, caller: Caller): Doorbell {
  const post = createSigned("execute-api", caller, { timeoutMs: TIMEOUT, tries: 1 });
  return {
    async ring(instanceId) {
      try {
        const connectionId = await connectionOf(instanceId);
        if (connectionId === undefined) return;
        const reply = await post({ url: `${endpoint.replace(/\/$/, "")}/@connections/${encodeURIComponent(connectionId)}`, body: RING });
        await reply.body?.cancel();
        // GoneException: whoever was there has left.
        if (reply.status === 410) await gone(connectionId);
        else if (!reply.ok) throw new Error(`PostToConnection: ${reply.status}`);
      } catch (error) {
        log.warn("the doorbell was not rung", { instance: instanceId, error: describe(error) });
      }
    },
  };
}
