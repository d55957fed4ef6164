import type { APIGatewayProxyWebsocketEventV2 } from "aws-lambda";
import { system } from "#core/actor";
import { systemClock, type Clock } from "#core/clock";
import { enter, within } from "#core/context";
import type { Database } from "#core/db/index";
import { AppError, describe } from "#core/error";
import type { Doorbell } from "#core/guest/client";
import { close, open, ping } from "#core/guest/doorbell";
import { DOORBELL_PATH } from "#core/guest/protocol";
import { authenticate } from "#core/guest/server";
import { log } from "#core/log";

export interface DoorbellDeps {
  /** Connected as `coffer_system`. */
  db: Database;
  bell: Doorbell;
  clock?: Clock;
}

/** Only the event of `$connect` has headers, with the case they were sent in; the types of the event know none. */
export type DoorbellEvent = APIGatewayProxyWebsocketEventV2 & { headers?: Record<string, string> };

const statuses: Partial<Record<AppError["code"], number>> = { unauthorized: 401, conflict: 409 };

/**
 * What a WebSocket API of API Gateway calls: `$connect` with a guest's signature (any other status than 200 and the
 * handshake is refused), `$disconnect`, which may never come, and `$default` for every message, whatever it says.
 */
export const createDoorbellHandler =
  ({ db, bell, clock = systemClock }: DoorbellDeps) =>
  (event: DoorbellEvent): Promise<{ statusCode: number }> =>
    enter({ db, actor: system("doorbell"), clock }, async () => {
      const { eventType, connectionId } = event.requestContext;
      try {
        switch (eventType) {
          case "CONNECT":
            await connect(event.headers ?? {}, connectionId);
            break;
          case "DISCONNECT":
            await close(connectionId);
            break;
          case "MESSAGE": {
            const waiting = await ping(connectionId);
            if (waiting !== undefined) await bell.ring(waiting);
            break;
          }
        }
        return { statusCode: 200 };
      } catch (error) {
        const known = error instanceof AppError ? statuses[error.code] : undefined;
        if (known) log.warn("doorbell refused", { event: eventType, reason: (error as AppError).reason });
        else log.error("doorbell failed", { event: eventType, error: describe(error) });
        return { statusCode: known ?? 500 };
      }
    });

async function connect(given: Record<string, string>, connectionId: string): Promise<void> {
  const headers = new Map(Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]));
  const caller = await authenticate(DOORBELL_PATH, (name) => headers.get(name), "");
  await within({ instanceId: caller.instanceId }, () => open(caller, connectionId));
}
