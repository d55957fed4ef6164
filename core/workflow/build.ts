import { standardPort } from "#core/datastore/index";
import { ensure } from "#core/driver/ensure";
import { AppError } from "#core/error";
import { externalId, flavorOf, intend, landed, type Context } from "#core/workflow/context";
import { go, type Next } from "#core/workflow/define";
import { boot } from "#core/workflow/guest";
import { imageOf } from "#core/workflow/image";

/* The labels by which every new instance gets what it runs on, whatever is to be in it. */

/** Creates the volume, or adopts the one a lost answer left. */
export async function madeVolume(c: Context): Promise<Next<"port">> {
  const name = await intend(c, "volume");
  const { volumeGb, volumeType } = c.instance;
  const volume = await ensure(c.volumes, { name, sizeGb: volumeGb, ...(volumeType && { type: volumeType }) }, c.call());
  await landed(name, volume.id);
  return go("port");
}

/** Creates the port; the instance gets its address. */
export async function madePort(c: Context): Promise<Next<"server">> {
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
}

/** Creates the server, with the boot data its guest enrols with. */
export async function madeServer(c: Context): Promise<Next<"boot">> {
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
}

/** TCP port a client of the engine expects. */
function portOf(manager: string): number {
  const port = standardPort(manager);
  if (port === undefined) throw new AppError("notImplemented", `Nothing is known of datastore manager '${manager}'.`, { reason: "datastore.manager", final: true });
  return port;
}
