import { overridesOf } from "#core/instance/overrides";
import { define, done, wait } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { finished } from "#core/workflow/guest";
import { restingTask } from "#core/workflow/rest";

export const restart = define(
  "restart",
  {
    comment: "The guest stops and starts the database; the server stays up.",
    about: {
      engine: "The guest restarts the database and reports it healthy.",
    },
    // Contract §5.1: no task is left, whatever the outcome; but a group changed since may wait for the next restart.
    settle: async (c, outcome) => ({ task: await restingTask(c), ...(outcome === "done" ? {} : fault(c, outcome)) }),
  },
  {
    engine: async (c) =>
      (await finished(c, "engine", "restart", { overrides: await overridesOf(c.instance.configurationId) })) && c.instance.serviceStatus === "healthy" ? done() : wait(5),
  },
);
