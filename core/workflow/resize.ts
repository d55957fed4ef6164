import { release } from "#core/quota/index";
import { externalId, flavorOf, wanted, type Context } from "#core/workflow/context";
import { overridesOf } from "#core/instance/overrides";
import { define, done, go, wait, type Patch } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { finished } from "#core/workflow/guest";
import { restingTask } from "#core/workflow/rest";
import type { Outcome } from "#core/operation/operation.sql";

export const resizeFlavor = define(
  "resize_flavor",
  {
    comment: "New size for the server, then the engine restarts with settings derived from it; goes back on failure.",
    about: {
      server: "Gives the server the new flavor.",
      engine: "The guest restarts the database with settings for the new memory.",
      revert_server: "Gives the server its old flavor back.",
      revert_engine: "The guest restarts the database with the old settings.",
    },
    rollback: "revert_server",
    settle: async (c, outcome) => {
      const flavorId = wanted(c, "flavorId");
      if (outcome === "done") return { task: await restingTask(c), flavorId };
      const [from, to] = await Promise.all([flavorOf(c.instance.flavorId), flavorOf(flavorId)]);
      return unchanged(c, outcome, { ram: to.ramMb - from.ramMb });
    },
  },
  {
    server: async (c) => {
      const flavor = await flavorOf(wanted(c, "flavorId"));
      const server = await c.compute.resize(await externalId(c, "server"), flavor, c.call());
      return server.state === "ACTIVE" ? go("engine") : wait(2);
    },
    engine: async (c) => {
      const { ramMb } = await flavorOf(wanted(c, "flavorId"));
      return (await finished(c, "engine", "configure", { memoryMb: ramMb, overrides: await overridesOf(c.instance.configurationId) })) && c.instance.serviceStatus === "healthy"
        ? done()
        : wait(5);
    },
    revert_server: async (c) => {
      const server = await c.compute.resize(await externalId(c, "server"), await flavorOf(c.instance.flavorId), c.call());
      return server.state === "ACTIVE" ? go("revert_engine") : wait(2);
    },
    revert_engine: async (c) => {
      const { ramMb } = await flavorOf(c.instance.flavorId);
      return (await finished(c, "revert_engine", "configure", { memoryMb: ramMb })) ? done() : wait(5);
    },
  },
);

export const resizeVolume = define(
  "resize_volume",
  {
    comment: "Grows the volume, then the guest grows the file system on it. Growing again is how a failed one is repaired.",
    about: {
      volume: "Grows the volume.",
      file_system: "The guest grows the file system on it.",
    },
    settle: async (c, outcome) => {
      const volumeGb = wanted(c, "volumeGb");
      if (outcome === "done") return { task: await restingTask(c), volumeGb };
      return unchanged(c, outcome, { volumes: volumeGb - c.instance.volumeGb });
    },
  },
  {
    volume: async (c) => {
      const volumeGb = wanted(c, "volumeGb");
      const volume = await c.volumes.resize(await externalId(c, "volume"), volumeGb, c.call());
      return volume.sizeGb >= volumeGb ? go("file_system") : wait(2);
    },
    file_system: async (c) =>
      (await finished(c, "file_system", "grow_volume", { volumeGb: wanted(c, "volumeGb") })) ? done() : wait(5),
  },
);

/** The instance keeps its shape and gets back the quota that the new one had reserved. */
async function unchanged(c: Context, outcome: Outcome, reserved: Parameters<typeof release>[1]): Promise<Patch> {
  await release(c.instance.projectId, reserved);
  return { task: await restingTask(c), ...fault(c, outcome) };
}
