import { madePort, madeServer, madeVolume } from "#core/workflow/build";
import { define, done, go, wait } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { extended, prepared } from "#core/workflow/guest";
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
    volume: madeVolume,
    port: madePort,
    server: madeServer,
    boot: async (c) => ((await serverRuns(c)) ? go("prepare", { serverState: "ACTIVE" }) : wait(2)),
    prepare: async (c) => {
      const job = await prepared(c);
      if (!job.done) return wait(5, await extended(c, job.id));
      return c.instance.serviceStatus === "healthy" ? done() : wait(5);
    },
  },
);
