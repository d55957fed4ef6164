import { GoneException, PostToConnectionCommand, type ApiGatewayManagementApiClient } from "@aws-sdk/client-apigatewaymanagementapi";
import { describe } from "#core/error";
import type { Doorbell } from "#core/guest/client";
import { connectionOf, gone } from "#core/guest/doorbell";
import { log } from "#core/log";

/** Says nothing; a message without a byte is one that the API's reference does not speak of. */
const RING = new Uint8Array([0x21]);

/** Rings over a WebSocket API of API Gateway. To be used inside a context whose actor may see the instance. */
export const createDoorbell = (client: ApiGatewayManagementApiClient): Doorbell => ({
  async ring(instanceId) {
    try {
      const connectionId = await connectionOf(instanceId);
      if (connectionId === undefined) return;
      await client.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: RING })).catch((error: unknown) => {
        if (!(error instanceof GoneException)) throw error;
        return gone(connectionId);
      });
    } catch (error) {
      log.warn("the doorbell was not rung", { instance: instanceId, error: describe(error) });
    }
  },
});
