import { and, eq, isNotNull } from "drizzle-orm";
import { now } from "#core/context";
import { read } from "#core/db/index";
import { guest } from "#core/guest/guest.sql";
import { overridesOf } from "#core/instance/overrides";
import { externalId, flavorOf, type Context } from "#core/workflow/context";
import type { Patch } from "#core/workflow/define";
import { asked, boot, ended, finished, revoke } from "#core/workflow/guest";
import { imageOf } from "#core/workflow/image";
import { followingOf, isFollowed, rowOf, served } from "#core/workflow/set";

/*
 * What workflows do that make a server anew under the data of its instance: fence, renew, wait for the server, resume, rejoin.
 */

/** From now on nothing the old guest says counts; the new one will be of `generation`. */
export async function fenced(c: Context, generation: number, why: string): Promise<Patch> {
  await revoke(c, now(), why);
  return { generation };
}

/** Has the cloud make the server anew from an image, for the guest of the present generation; undefined where that guest has enrolled. */
export async function renewed(c: Context, imageId: string, versionId = c.instance.datastoreVersionId): Promise<Patch | undefined> {
  // The token works once: a guest that has used it must not be made anew under it.
  if (await enrolled(c)) return undefined;
  const image = await imageOf(versionId);
  const server = await c.compute.rebuild(await externalId(c, "server"), { image, imageId, boot: await boot(c, image) }, c.call());
  return { serverState: server.state };
}

/** Whether the new guest has taken over the data on the volume and reports the database healthy. */
export async function resumed(c: Context, label: string): Promise<boolean> {
  const { instance } = c;
  const [{ ramMb }, overrides] = await Promise.all([flavorOf(instance.flavorId), overridesOf(instance.configurationId)]);
  const spec = { memoryMb: ramMb, volumeGb: instance.volumeGb, cidrs: instance.access.allowed_cidrs ?? null, overrides, databases: [], users: [] };
  return (await finished(c, label, "prepare", spec)) && instance.serviceStatus === "healthy";
}

/** Whether the new guest has the place of the one before in its replica set: follows its source again, or lets its replicas in. */
export async function rejoined(c: Context, label: string): Promise<boolean> {
  const { id, replicaOf } = c.instance;
  if (replicaOf === null) return !(await isFollowed(id)) || (await served(c, label, c.instance)) !== undefined;
  const source = await rowOf(replicaOf);
  const job = await asked(c, label, "follow", () => followingOf(c, source, c.instance));
  return job !== undefined && ended(job);
}

async function enrolled({ instance }: Context): Promise<boolean> {
  const rows = await read((tx) =>
    tx
      .select({ id: guest.instanceId })
      .from(guest)
      .where(and(eq(guest.instanceId, instance.id), eq(guest.generation, instance.generation), isNotNull(guest.publicKey))),
  );
  return rows.length > 0;
}
