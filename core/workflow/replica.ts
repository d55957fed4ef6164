import { AppError } from "#core/error";
import { outcome, sealingKeyOf } from "#core/guest/client";
import { ServeResult } from "#core/guest/protocol";
import { overridesOf } from "#core/instance/overrides";
import { madePort, madeServer, madeVolume } from "#core/workflow/build";
import { flavorOf, type Context } from "#core/workflow/context";
import { define, done, go, wait } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { asked, ended, jobIdOf } from "#core/workflow/guest";
import { restingTask } from "#core/workflow/rest";
import { serverRuns } from "#core/workflow/server";
import { followingOf, promoted, rowOf, served } from "#core/workflow/set";

/** The source of the set when the operation began; the API never begins one without it. */
export function sourceIdOf({ operation }: Context): string {
  if (operation.input.sourceId === undefined) throw new Error("the operation has no sourceId");
  return operation.input.sourceId;
}

export const createReplica = define(
  "create_replica",
  {
    comment: "Volume, port, server, then the source lets the new guest in, which copies its data and follows.",
    about: {
      volume: "Creates the volume, or adopts the one a lost answer left.",
      port: "Creates the port; the instance gets its address.",
      server: "Creates the server, with the boot data its guest enrols with.",
      boot: "Waits until the cloud says that the server runs.",
      enrol: "Waits until its guest has said what can be confided to it by.",
      source: "The source's guest makes role, slot and access rule for the replica.",
      seed: "The guest copies the source's data, follows, and reports the database healthy.",
    },
    settle: (c, outcome) => (outcome === "done" ? { task: "NONE" } : { task: "BUILDING_ERROR", ...fault(c, outcome) }),
  },
  {
    volume: madeVolume,
    port: madePort,
    server: madeServer,
    boot: async (c) => ((await serverRuns(c)) ? go("enrol", { serverState: "ACTIVE" }) : wait(2)),
    enrol: async (c) => ((await sealingKeyOf(c.instance.id)) === undefined ? wait(2) : go("source")),
    source: async (c) => ((await served(c, "source", await livingSource(c))) ? go("seed") : wait(2)),
    seed: async (c) => {
      const source = await livingSource(c);
      const given = (await outcome(jobIdOf(c, "source", source)))?.result;
      // Another run of the operation has other jobs.
      if (!given) return go("source");
      const { instance } = c;
      const job = await asked(c, "seed", "prepare", async () => {
        const superuser = ServeResult.parse(given).superuser[instance.id];
        if (superuser === undefined) throw new AppError("conflict", "The source's guest confided nothing to this one.", { reason: "replica.superuser" });
        const [{ ramMb }, overrides, following] = await Promise.all([flavorOf(instance.flavorId), overridesOf(instance.configurationId), followingOf(c, source, instance, superuser)]);
        return { memoryMb: ramMb, volumeGb: instance.volumeGb, cidrs: instance.access.allowed_cidrs ?? null, overrides, databases: [], users: [], following };
      });
      return job && ended(job) && instance.serviceStatus === "healthy" ? done() : wait(5);
    },
  },
);

async function livingSource(c: Context) {
  const source = await rowOf(sourceIdOf(c));
  if (source.deletedAt === null && source.desired === "present") return source;
  throw new AppError("conflict", `The source ${source.id} is gone.`, { reason: "replica.source", final: true });
}

export const detachReplica = define(
  "detach_replica",
  {
    comment: "The replica stops following and takes writes; its former source forgets it.",
    about: {
      detach: "The guest stops following; the database takes writes.",
      forget: "The former source's guest is told to keep nothing for it any more.",
    },
    // Contract §6.7: no task is left even if the guest failed; it is still attached then.
    settle: async (c, outcome) => ({ task: await restingTask(c), ...(outcome === "done" ? {} : fault(c, outcome)) }),
  },
  {
    detach: async (c) => ((await promoted(c, "detach", c.instance)) && c.instance.serviceStatus === "healthy" ? go("forget", { replicaOf: null }) : wait(2)),
    forget: async (c) => {
      const source = await rowOf(sourceIdOf(c));
      // Not awaited: a source that is away does it when it is back.
      if (source.deletedAt === null) await served(c, "forget", source);
      return done();
    },
  },
);
