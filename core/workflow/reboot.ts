import { overridesOf } from "#core/instance/overrides";
import { externalId, type Context } from "#core/workflow/context";
import { define, done, go, wait, type Patch } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { finished } from "#core/workflow/guest";
import { restingTask } from "#core/workflow/rest";
import { serverRuns } from "#core/workflow/server";
import type { Outcome } from "#core/operation/operation.sql";

/** No task is left whatever the outcome (contract §5.3); but a group changed since may wait for the next restart. */
const settle = async (c: Context, outcome: Outcome): Promise<Patch> => ({ task: await restingTask(c), ...(outcome === "done" ? {} : fault(c, outcome)) });

/** The guest is back, and its engine up with what it is to have, also where it had been stopped. */
const engine = async (c: Context) =>
  (await finished(c, "engine", "restart", { overrides: await overridesOf(c.instance.configurationId) })) && c.instance.serviceStatus === "healthy" ? done() : wait(5);

export const reboot = define(
  "reboot",
  {
    comment: "The server goes down in order, with its database, and comes up again.",
    about: {
      server: "Reboots the server; its guest stops the database first.",
      boot: "Waits until the cloud says that the server runs.",
      engine: "The guest brings the database up and reports it healthy.",
    },
    settle,
  },
  {
    server: async (c) => {
      await c.compute.reboot(await externalId(c, "server"), c.call());
      return go("boot");
    },
    boot: async (c) => ((await serverRuns(c)) ? go("engine", { serverState: "ACTIVE" }) : wait(2)),
    engine,
  },
);

export const migrate = define(
  "migrate",
  {
    comment: "The server moves to another host, with its disks, address and guest.",
    about: {
      server: "Moves the server; where the cloud has no other host nothing is touched.",
      boot: "Waits until the cloud says that the server runs.",
      engine: "The guest brings the database up and reports it healthy.",
    },
    settle,
  },
  {
    server: async (c) => {
      await c.compute.migrate(await externalId(c, "server"), c.operation.input.host, c.call());
      return go("boot");
    },
    boot: async (c) => ((await serverRuns(c)) ? go("engine", { serverState: "ACTIVE" }) : wait(2)),
    engine,
  },
);
