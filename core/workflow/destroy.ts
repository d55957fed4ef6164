import { eq } from "drizzle-orm";
import { now } from "#core/context";
import { transaction } from "#core/db/index";
import { removeAll } from "#core/driver/ensure";
import type { Resource, Resources } from "#core/driver/resource";
import type { ExternalKind } from "#core/id";
import { resource } from "#core/instance/instance.sql";
import { resourceOf, type Context } from "#core/workflow/context";
import { define, done, go, wait } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { revoke } from "#core/workflow/guest";
import { rowOf, served } from "#core/workflow/set";

export const destroy = define(
  "destroy",
  {
    comment: "Revokes the guest, then removes server, port and volume until none is left.",
    about: {
      revoke: "From now on nothing the guest says counts; the source of a replica forgets it.",
      server: "Removes the server, and waits out a create whose outcome nobody saw.",
      port: "Removes the port, likewise.",
      volume: "Removes the volume, likewise.",
    },
    settle: (c, outcome) => (outcome === "done" ? { deletedAt: now(), serverState: "none" } : fault(c, outcome)),
  },
  {
    revoke: async (c) => {
      await revoke(c, now(), "The instance was deleted.");
      // Not awaited: what a source keeps for one that is gone is bounded, and a source that is away hears it later.
      if (c.instance.replicaOf !== null) await served(c, "revoke", await rowOf(c.instance.replicaOf));
      return go("server");
    },
    server: async (c) => {
      const left = await removed(c, "server", c.compute);
      return left === 0 ? go("port", { serverState: "none" }) : wait(left);
    },
    port: async (c) => {
      const left = await removed(c, "port", c.network);
      return left === 0 ? go("volume") : wait(left);
    },
    volume: async (c) => {
      const left = await removed(c, "volume", c.volumes);
      return left === 0 ? done() : wait(left);
    },
  },
);

/**
 * Removes every resource of that kind. 0 = none is left and none can still appear; else the
 * seconds to wait before looking again: a create whose outcome nobody saw may land until its
 * deadline.
 */
async function removed(c: Context, kind: ExternalKind, resources: Resources<never, Resource>): Promise<number> {
  const row = await resourceOf(c, kind);
  if (!row) return 0;
  const empty = await removeAll(resources, row.name, c.call());
  if (!empty) return 2;
  const late = row.callDeadline ? (row.callDeadline.getTime() - now().getTime()) / 1000 : 0;
  if (late > 0) return Math.ceil(late);
  await transaction((tx) => tx.update(resource).set({ removedAt: now(), callDeadline: null }).where(eq(resource.name, row.name)));
  return 0;
}
