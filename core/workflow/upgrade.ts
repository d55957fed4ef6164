import { wanted } from "#core/workflow/context";
import { define, done, go, wait } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { didFinish } from "#core/workflow/guest";
import { fenced, rejoined, renewed, resumed } from "#core/workflow/renew";
import { restingTask } from "#core/workflow/rest";
import { serverRuns } from "#core/workflow/server";

const FENCED = "The instance was upgraded.";

export const upgrade = define(
  "upgrade",
  {
    comment: "Another release of the same line over the same data: the server is made anew from the version's image; from the old one's if that fails.",
    about: {
      fence: "From now on nothing the old guest says counts.",
      server: "Makes the server anew from the image of the new version, with boot data for a guest of the next generation.",
      boot: "Waits until the cloud says that the server runs.",
      engine: "The new guest takes over the data on the volume and reports the database healthy.",
      set: "In a replica set it follows its source again, or lets its replicas in.",
      revert_fence: "The guest of the new version is not heard any more.",
      revert_server: "Makes the server anew from the image of the version before.",
      revert_boot: "Waits until the cloud says that the server runs.",
      revert_engine: "A guest of the version before takes over the data and reports the database healthy.",
      revert_set: "It has its place in the replica set again.",
    },
    rollback: "revert_fence",
    settle: async (c, outcome) => {
      if (outcome === "done") return { task: await restingTask(c) };
      // Nothing was touched yet, or all was brought back; else it is neither the one version nor the other.
      const untouched = c.instance.generation < wanted(c, "generation");
      const back = untouched || (await didFinish(c, "revert_engine"));
      return { task: back ? await restingTask(c) : "UPGRADING_ERROR", datastoreVersionId: wanted(c, "fromVersionId"), ...fault(c, outcome) };
    },
  },
  {
    fence: async (c) => go("server", await fenced(c, wanted(c, "generation"), FENCED)),
    server: async (c) => go("boot", await renewed(c, wanted(c, "imageId"))),
    boot: async (c) => ((await serverRuns(c)) ? go("engine", { serverState: "ACTIVE" }) : wait(2)),
    engine: async (c) => ((await resumed(c, "engine")) ? go("set") : wait(5)),
    set: async (c) => ((await rejoined(c, "set")) ? done() : wait(2)),
    // A number of its own: the guest of the new version may have enrolled by the one before.
    revert_fence: async (c) => go("revert_server", await fenced(c, wanted(c, "generation") + 1, FENCED)),
    revert_server: async (c) => go("revert_boot", await renewed(c, wanted(c, "fromImageId"), wanted(c, "fromVersionId"))),
    revert_boot: async (c) => ((await serverRuns(c)) ? go("revert_engine", { serverState: "ACTIVE" }) : wait(2)),
    revert_engine: async (c) => ((await resumed(c, "revert_engine")) ? go("revert_set") : wait(5)),
    revert_set: async (c) => ((await rejoined(c, "revert_set")) ? done() : wait(2)),
  },
);
