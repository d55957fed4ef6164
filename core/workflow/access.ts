import { externalId } from "#core/workflow/context";
import { define, done, go, wait } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { finished } from "#core/workflow/guest";
import { restingTask } from "#core/workflow/rest";

export const updateAccess = define(
  "update_access",
  {
    comment: "Who may connect: at the network, then in the engine.",
    about: {
      network: "Sets who may reach the port.",
      engine: "The guest sets who may log in.",
    },
    settle: async (c, outcome) =>
      outcome === "done"
        ? { task: await restingTask(c), access: c.operation.input.access ?? {} }
        : { task: outcome === "cancelled" ? await restingTask(c) : "UPDATING_ERROR", ...fault(c, outcome) },
  },
  {
    network: async (c) => {
      const { allowed_cidrs: cidrs = null, is_public: isPublic = false } = c.operation.input.access ?? {};
      await c.network.setIngress(await externalId(c, "port"), cidrs, isPublic, c.call());
      return go("engine");
    },
    engine: async (c) =>
      (await finished(c, "engine", "access", { cidrs: c.operation.input.access?.allowed_cidrs ?? null })) ? done() : wait(5),
  },
);
