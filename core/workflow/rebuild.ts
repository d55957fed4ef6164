import { wanted } from "#core/workflow/context";
import { define, done, go, wait } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { fenced, rejoined, renewed, resumed } from "#core/workflow/renew";
import { restingTask } from "#core/workflow/rest";
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
    fence: async (c) => go("server", await fenced(c, wanted(c, "generation"), "The instance was rebuilt.")),
    server: async (c) => go("boot", await renewed(c, wanted(c, "imageId"))),
    boot: async (c) => ((await serverRuns(c)) ? go("engine", { serverState: "ACTIVE" }) : wait(2)),
    engine: async (c) => ((await resumed(c, "engine")) ? go("set") : wait(5)),
    set: async (c) => ((await rejoined(c, "set")) ? done() : wait(2)),
  },
);
