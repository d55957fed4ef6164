import { and, eq, isNotNull } from "drizzle-orm";
import { now } from "#core/context";
import { read } from "#core/db/index";
import { guest } from "#core/guest/guest.sql";
import { overridesOf } from "#core/instance/overrides";
import { externalId, flavorOf, type Context } from "#core/workflow/context";
import { define, done, go, wait } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { asked, boot, ended, finished, revoke } from "#core/workflow/guest";
import { imageOf } from "#core/workflow/image";
import { restingTask } from "#core/workflow/rest";
import { followingOf, isFollowed, rowOf, served } from "#core/workflow/set";
import { serverRuns } from "#core/workflow/server";

export const rebuild = define(
  "rebuild",
  {
    comment: "A new system under the same data: the server is made anew from an image, with a guest that enrols anew.",
    about: {
      fence: "From now on nothing the old guest says counts.",
      server: "Makes the server anew from the image, with boot data for a guest of the next generation.",
      boot: "Waits until the cloud says that the server runs.",
      engine: "The new guest takes over the data on the volume and reports the database healthy.",
      set: "In a replica set it follows its source again, or lets its replicas in.",
    },
    // Repeating it is how one that failed is repaired.
    settle: async (c, outcome) => (outcome === "done" ? { task: await restingTask(c) } : { task: "BUILDING_ERROR", ...fault(c, outcome) }),
  },
  {
    fence: async (c) => {
      await revoke(c, now(), "The instance was rebuilt.");
      return go("server", { generation: wanted(c.operation.input.generation, "generation") });
    },
    server: async (c) => {
      // The token works once: a guest that has used it must not be made anew under it.
      if (await enrolled(c)) return go("boot");
      const image = await imageOf(c.instance.datastoreVersionId);
      const imageId = wanted(c.operation.input.imageId, "imageId");
      const server = await c.compute.rebuild(await externalId(c, "server"), { image, imageId, boot: await boot(c, image) }, c.call());
      return go("boot", { serverState: server.state });
    },
    boot: async (c) => ((await serverRuns(c)) ? go("engine", { serverState: "ACTIVE" }) : wait(2)),
    engine: async (c) => {
      const { instance } = c;
      const [{ ramMb }, overrides] = await Promise.all([flavorOf(instance.flavorId), overridesOf(instance.configurationId)]);
      const spec = { memoryMb: ramMb, volumeGb: instance.volumeGb, cidrs: instance.access.allowed_cidrs ?? null, overrides, databases: [], users: [] };
      return (await finished(c, "engine", "prepare", spec)) && instance.serviceStatus === "healthy" ? go("set") : wait(5);
    },
    set: async (c) => {
      const { id, replicaOf } = c.instance;
      if (replicaOf === null) return !(await isFollowed(id)) || (await served(c, "set", c.instance)) ? done() : wait(2);
      const source = await rowOf(replicaOf);
      const job = await asked(c, "set", "follow", () => followingOf(c, source, c.instance));
      return job && ended(job) ? done() : wait(2);
    },
  },
);

function wanted<T>(value: T | undefined, field: string): T {
  if (value === undefined) throw new Error(`the operation has no ${field}`);
  return value;
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
