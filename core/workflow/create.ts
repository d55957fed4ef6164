import { standardPort } from "#core/datastore/index";
import { ensure } from "#core/driver/ensure";
import { AppError } from "#core/error";
import { externalId, flavorOf, intend, landed } from "#core/workflow/context";
import { define, done, go, wait } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { boot, extended, prepared } from "#core/workflow/guest";
import { imageOf } from "#core/workflow/image";
import { serverRuns } from "#core/workflow/server";

export const create = define(
  "create",
  {
    comment: "Volume, port, server, then the guest prepares the database.",
    about: {
      volume: "Creates the volume, or adopts the one a lost answer left.",
      port: "Creates the port; the instance gets its address.",
      server: "Creates the server, with the boot data its guest enrols with.",
      boot: "Waits until the cloud says that the server runs.",
      prepare: "Waits until the guest has prepared or restored the database and reports it healthy.",
    },
    // Resources of a failed create stay until DELETE (contract §6.2), so that its cause can be looked at.
    settle: (c, outcome) => (outcome === "done" ? { task: "NONE" } : { task: "BUILDING_ERROR", ...fault(c, outcome) }),
  },
  {
    volume: async (c) => {
      const name = await intend(c, "volume");
      const { volumeGb, volumeType } = c.instance;
      const volume = await ensure(c.volumes, { name, sizeGb: volumeGb, ...(volumeType && { type: volumeType }) }, c.call());
      await landed(name, volume.id);
      return go("port");
    },
    port: async (c) => {
      const name = await intend(c, "port");
      const { manager } = await imageOf(c.instance.datastoreVersionId);
      const port = await ensure(
        c.network,
        {
          name,
          servicePort: portOf(manager),
          ingress: c.instance.access.allowed_cidrs ?? null,
          isPublic: c.instance.access.is_public ?? false,
        },
        c.call(),
      );
      await landed(name, port.id);
      return go("server", { address: port.address, port: port.port });
    },
    server: async (c) => {
      const [flavor, image, volumeId, portId] = await Promise.all([
        flavorOf(c.instance.flavorId),
        imageOf(c.instance.datastoreVersionId),
        externalId(c, "volume"),
        externalId(c, "port"),
      ]);
      const bootData = await boot(c, image);
      const name = await intend(c, "server");
      const server = await ensure(
        c.compute,
        { name, instanceId: c.instance.id, flavor, image, volumeId, portId, boot: bootData },
        c.call(),
      );
      await landed(name, server.id);
      return go("boot", { serverState: server.state });
    },
    boot: async (c) => ((await serverRuns(c)) ? go("prepare", { serverState: "ACTIVE" }) : wait(2)),
    prepare: async (c) => {
      const job = await prepared(c);
      if (!job.done) return wait(5, await extended(c, job.id));
      return c.instance.serviceStatus === "healthy" ? done() : wait(5);
    },
  },
);

/** TCP port a client of the engine expects. */
function portOf(manager: string): number {
  const port = standardPort(manager);
  if (port === undefined) throw new AppError("notImplemented", `Nothing is known of datastore manager '${manager}'.`, { reason: "datastore.manager", final: true });
  return port;
}
