import { eq } from "drizzle-orm";
import type { Config } from "#core/config";
import { newId, now, user } from "#core/context";
import { datastoreVersion } from "#core/datastore/datastore.sql";
import { inside, transaction } from "#core/db/index";
import { AppError, badRequest } from "#core/error";
import * as Flavor from "#core/flavor/index";
import { unknownFlavor } from "#core/instance/create";
import { obstacle } from "#core/instance/gate";
import { instance, type Access, type Nic } from "#core/instance/instance.sql";
import { holdGroup } from "#core/instance/overrides";
import { get, idOf, unknown, type Detail } from "#core/instance/row";
import { lockSource } from "#core/instance/set";
import { createdTraits } from "#core/instance/told";
import { begin } from "#core/operation/index";
import { charge, defaultLimits } from "#core/quota/index";

export interface NewReplicas {
  name: string;
  sourceId: string;
  /** 1 to 3; two or more are called `<name>-1` and so on. */
  count: number;
  nics: Nic[];
  access: Access;
  availabilityZone?: string;
  region?: string;
  /** Id of a configuration group. */
  configuration?: string;
  modules: string[];
}

const forbidden = (sourceId: string) => new AppError("unauthorized", `Instance ${sourceId} is a replica itself: it cannot be replicated.`, { reason: "replica.of_replica", next: "Name its source as replica_of." });

/**
 * Accepts replicas of an instance (contract §6.4): flavor, version and volume are the source's. Every one of them is charged.
 * Returns the last one.
 */
export async function createReplicas(wish: NewReplicas, config: Config): Promise<Detail> {
  const { instance: seen, datastore, version } = await get(wish.sourceId);
  const { projectId, userId } = user();
  // An administrator sees those of others, and makes nothing for them.
  if (seen.projectId !== projectId) throw unknown(wish.sourceId);
  if (seen.replicaOf !== null) throw forbidden(seen.id);
  checkNics(wish.nics);
  if (wish.region !== undefined && wish.region !== config.COFFER_REGION) {
    throw badRequest(`Region '${wish.region}' is not served here; '${config.COFFER_REGION}' is.`, { reason: "region.unknown" });
  }
  return transaction(async () => {
    const source = await lockSource(idOf(wish.sourceId));
    if (source.replicaOf !== null) throw forbidden(source.id);
    const why = obstacle(source);
    if (why) throw why;
    if (wish.modules.length > 0) throw badRequest("'modules' cannot be given for a replica: what they install comes with the source's data.", { reason: "replica.modules" });
    const flavor = await Flavor.find(source.flavorId);
    if (!flavor) throw unknownFlavor(source.flavorId);
    const group = wish.configuration === undefined ? undefined : await holdGroup(wish.configuration, projectId);
    const at = now();
    const rows = Array.from({ length: wish.count }, (_, index) => ({
      id: newId(),
      createdAt: at,
      updatedAt: at,
      projectId,
      createdBy: userId,
      name: wish.count === 1 ? wish.name : `${wish.name}-${index + 1}`,
      task: "BUILDING" as const,
      serverState: "none" as const,
      serviceStatus: "new" as const,
      serviceStatusAt: at,
      datastoreVersionId: source.datastoreVersionId,
      flavorId: source.flavorId,
      volumeGb: source.volumeGb,
      volumeType: source.volumeType,
      region: source.region,
      availabilityZone: wish.availabilityZone ?? null,
      locality: source.locality,
      nics: wish.nics,
      access: wish.access,
      configurationId: group?.id ?? null,
      replicaOf: source.id,
    }));
    const stored = await inside().insert(instance).values(rows).returning();
    const image = await imageOf(source.datastoreVersionId);
    for (const row of rows) {
      const traits = { ...createdTraits(row, { datastore: datastore.name, version: version.name, image }, wish), replica_of: source.id, replica_count: wish.count };
      await begin({ instanceId: row.id, projectId, kind: "create_replica", input: { sourceId: source.id }, traits });
    }
    await charge(projectId, { instances: wish.count, ram: wish.count * flavor.ramMb, volumes: wish.count * source.volumeGb }, defaultLimits(config));
    const last = stored.find(({ id }) => id === rows.at(-1)?.id);
    if (!last) throw new Error("the replica was not stored");
    return { instance: last, datastore, version, configuration: group ? { id: group.id, name: group.name } : null, replicas: [], position: null, serverId: null, volumeId: null };
  });
}

async function imageOf(versionId: string): Promise<string | null> {
  const [row] = await inside().select({ image: datastoreVersion.image }).from(datastoreVersion).where(eq(datastoreVersion.id, versionId));
  return row?.image ?? null;
}

function checkNics(nics: Nic[]) {
  for (const nic of nics) {
    if (!nic.network_id && !nic.subnet_id) throw badRequest("A NIC needs a network or a subnet.", { reason: "network.missing" });
    if (nic.ip_address) throw badRequest("A NIC of a replica cannot have a fixed ip_address.", { reason: "replica.fixed_address" });
  }
}
