import { eq } from "drizzle-orm";
import { read } from "#core/db/index";
import { guestJob } from "#core/guest/guest.sql";
import { resource } from "#core/instance/instance.sql";
import type { World } from "#test/support/world";

/** Everything of one instance that must not depend on who carried its runs; without ids and times. */
export async function picture(world: World, id: string) {
  const [row, operations, resources, jobs, backups] = await Promise.all([
    world.row(id),
    world.operations(id),
    world.asSystem(() => read((tx) => tx.select().from(resource).where(eq(resource.instanceId, id)).orderBy(resource.kind))),
    world.asSystem(() => read((tx) => tx.select().from(guestJob).where(eq(guestJob.instanceId, id)).orderBy(guestJob.kind, guestJob.seq))),
    world.backups(),
  ]);
  const { desired, task, serverState, serviceStatus, generation, flavorId, volumeGb, access, faultMessage } = row;
  const { servers, volumes, ports } = world.cloud.all();
  const ours = ({ name }: { name: string }) => name.endsWith(id);
  return {
    instance: { desired, task, serverState, serviceStatus, generation, flavorId, volumeGb, access, faultMessage: faultMessage?.replaceAll(id, "<id>"), backedUp: row.backupId !== null, deleted: row.deletedAt !== null, address: row.address !== null },
    operations: operations.toSorted((a, b) => a.kind.localeCompare(b.kind)).map(({ kind, run, label, attempt, outcome, failure, cancelRequested, leaseOwner, steps }) => ({
      kind, run, label, attempt, outcome, failure, cancelRequested, leaseOwner,
      steps: steps.map((step) => ({ label: step.label, attempt: step.attempt, outcome: step.outcome, error: step.error })),
    })),
    resources: resources.map(({ kind, externalId, callDeadline, removedAt }) => ({ kind, known: externalId !== null, open: callDeadline !== null, removed: removedAt !== null })),
    jobs: jobs.map(({ kind, state, error }) => ({ kind, state, error })),
    backups: backups.filter((one) => one.instance_id === id).map(({ state, fault_message, clean_at }) => ({ state, fault: fault_message, leaves: clean_at !== null })),
    cloud: {
      servers: servers.filter(ours).map(({ state, flavorId: flavor }) => ({ state, flavor })),
      volumes: volumes.filter(ours).map(({ sizeGb }) => sizeGb),
      ports: ports.filter(ours).length,
    },
  };
}
