import { AppError } from "#core/error";
import { externalId, nameOf, type Context } from "#core/workflow/context";

/** Whether the cloud says that the server runs; throws when it says that it never will. */
export async function serverRuns(c: Context): Promise<boolean> {
  const server = await c.compute.get(await externalId(c, "server"), c.call());
  if (!server) throw new AppError("serviceUnavailable", `Server ${nameOf(c, "server")} has vanished.`, { reason: "server.missing", final: true });
  if (server.state === "ERROR") {
    throw new AppError("serviceUnavailable", `The server failed to start: ${server.fault ?? "no reason given"}`, { reason: "server.error", final: true });
  }
  return server.state === "ACTIVE";
}
