import { asc, eq, sql, type SQL } from "drizzle-orm";
import { datastoreVersion } from "#core/datastore/datastore.sql";
import { inside } from "#core/db/index";
import { record } from "#core/event/index";
import type { Traits } from "#core/event/event.sql";
import { flavor } from "#core/flavor/flavor.sql";
import type { ExternalKind } from "#core/id";
import { instance, resource } from "#core/instance/instance.sql";
import { statusOf } from "#core/instance/status";
import { stamp } from "#core/stamp";

/** What is told of instances for those who charge for them: contract §8.5. */

/** Contract §7.1, `notification_service_id`. */
const services: Record<string, string> = {
  mysql: "2f3ff068-2bfb-4f70-9a9d-a6bb65bc084b",
  percona: "fd1723f5-68d2-409c-994f-a4a197892a17",
  pxc: "75a628c3-f81b-4ffb-b10a-4087c26bc854",
  mariadb: "7a4f82cc-10d2-4bc6-aadc-d9aacc2a3cb5",
  postgresql: "ac277e0d-4f21-40aa-b347-1ea31e571720",
  redis: "b216ffc5-1947-456c-a4cf-70f94c05f7d0",
};
const UNKNOWN_SERVICE = "unknown-service-id-error";

const externalId = (kind: ExternalKind) =>
  sql<string | null>`(select ${resource.externalId} from ${resource} where ${resource.instanceId} = ${instance.id} and ${resource.kind} = ${kind} order by ${resource.removedAt} desc nulls first limit 1)`;

/** Instances with what is told of them, by ascending id, in the open transaction. */
export async function measured(where: SQL | undefined, limit: number) {
  return inside()
    .select({
      row: instance,
      manager: datastoreVersion.manager,
      flavor: { name: flavor.name, ramMb: flavor.ramMb },
      serverId: externalId("server"),
      volumeId: externalId("volume"),
    })
    .from(instance)
    .innerJoin(datastoreVersion, eq(datastoreVersion.id, instance.datastoreVersionId))
    .leftJoin(flavor, eq(flavor.id, instance.flavorId))
    .where(where)
    .orderBy(asc(instance.id))
    .limit(limit);
}
export type Measured = Awaited<ReturnType<typeof measured>>[number];

/** What every usage event says of an instance. */
export function traitsOf({ row, manager, flavor: size, serverId }: Measured): Traits {
  const state = statusOf(row).toLowerCase();
  return {
    created_at: stamp(row.createdAt),
    instance_id: row.id,
    instance_name: row.name,
    instance_type: size?.name ?? null,
    instance_type_id: row.flavorId,
    launched_at: stamp(row.createdAt),
    nova_instance_id: serverId,
    region: row.region,
    state_description: state,
    state,
    tenant_id: row.projectId,
    user_id: row.createdBy,
    service_id: services[manager] ?? UNKNOWN_SERVICE,
  };
}

type Change = "create" | "modify_flavor" | "delete";

/** Tells, in the open transaction, that an instance is there, has another size or is gone; `more` is what only this event says. */
export async function tellUsage(change: Change, instanceId: string, more: Traits = {}): Promise<void> {
  const [seen] = await measured(eq(instance.id, instanceId), 1);
  if (!seen) throw new Error(`instance ${instanceId} is not there`);
  const { row, volumeId, flavor: size } = seen;
  const payload: Traits = {
    ...traitsOf(seen),
    name: row.name,
    instance_size: size?.ramMb ?? null,
    availability_zone: row.availabilityZone,
    volume_size: row.volumeGb,
    nova_volume_id: volumeId,
    ...more,
  };
  await record({ projectId: row.projectId, stream: row.id, type: `trove.instance.${change}`, publisher: "taskmanager", payload });
}

/** Memory of a flavor, MB; null for one that is gone. */
export async function sizeOf(flavorId: string): Promise<number | null> {
  const [row] = await inside().select({ ramMb: flavor.ramMb }).from(flavor).where(eq(flavor.id, flavorId));
  return row?.ramMb ?? null;
}
