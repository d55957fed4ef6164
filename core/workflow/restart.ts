import { define, done, wait } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { finished } from "#core/workflow/guest";

export const restart = define(
  "restart",
  {
    comment: "The guest stops and starts the database; the server stays up.",
    about: {
      engine: "The guest restarts the database and reports it healthy.",
    },
    // Contract §5.1: no task is left, whatever the outcome.
    settle: (c, outcome) => ({ task: "NONE", ...(outcome === "done" ? {} : fault(c, outcome)) }),
  },
  {
    engine: async (c) =>
      (await finished(c, "engine", "restart", {})) && c.instance.serviceStatus === "healthy" ? done() : wait(5),
  },
);
