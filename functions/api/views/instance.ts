import { standardPort } from "#core/datastore/index";
import type { Detail } from "#core/instance/index";
import { operatingStatusOf, statusOf, type Status } from "#core/instance/status";
import type { Call } from "#functions/api/call";
import { stamp } from "#core/stamp";

/** The guest's numbers are old or meaningless while it is not there (contract §2.2). */
const noUsage: readonly Status[] = ["BUILD", "REBOOT", "RESIZE", "PROMOTE", "EJECT", "UPGRADE", "SHUTDOWN"];

const round = (value: number) => Math.round(value * 100) / 100;
export const gigabytes = (bytes: number) => round(bytes / 2 ** 30);

/** An instance in a list (contract §2.2); optional members are left out, never null. */
export function listed(detail: Detail, { actor, config, links, now }: Call) {
  const { instance, datastore, version } = detail;
  return {
    id: instance.id,
    name: instance.name,
    status: statusOf(instance),
    operating_status: operatingStatusOf(instance, now, config.COFFER_HEARTBEAT_STALE_SECONDS),
    links: links.of("instances", instance.id),
    flavor: { id: instance.flavorId, links: links.of("flavors", instance.flavorId) },
    datastore: { type: datastore.name, version: version.name },
    region: instance.region,
    access: accessOf({ instance }),
    volume: { size: instance.volumeGb },
    ...(actor.isAdmin && { tenant_id: instance.projectId }),
    ...(instance.replicaOf !== null && instance.deletedAt === null && { replica_of: linked(instance.replicaOf, links) }),
    ...(detail.replicas.length > 0 && { replicas: detail.replicas.map((id) => linked(id, links)) }),
    ...(instance.address !== null && instance.deletedAt === null && {
      ip: [instance.address],
      addresses: [{ address: instance.address, type: "private", ...networkOf(instance.nics[0]) }],
    }),
    // Beyond Trove: only where the address alone does not lead to the engine.
    ...(instance.port !== null && instance.port !== standardPort(version.manager) && { port: instance.port }),
  };
}

const linked = (id: string, links: Call["links"]) => ({ id, links: links.of("instances", id) });

/** The network a client asked for; a home without networks has none to name. */
const networkOf = (nic: Detail["instance"]["nics"][number] | undefined) => (nic?.network_id === undefined ? {} : { network: nic.network_id });

/** What was asked for; else what the addresses say, once there are any. */
function accessOf({ instance: { access, address } }: Pick<Detail, "instance">) {
  const { is_public, allowed_cidrs } = access;
  if (is_public === undefined && !allowed_cidrs) return address === null ? {} : { is_public: false };
  return { ...(is_public !== undefined && { is_public }), ...(allowed_cidrs && { allowed_cidrs }) };
}

/** An instance in the detailed list. */
export function detailed(detail: Detail, call: Call) {
  const { instance, version, datastore } = detail;
  const { isAdmin } = call.actor;
  return {
    ...listed(detail, call),
    datastore: { type: datastore.name, version: version.name, version_number: version.version },
    created: stamp(instance.createdAt),
    updated: stamp(instance.updatedAt),
    service_status_updated: stamp(instance.serviceStatusAt),
    ...(detail.configuration && { configuration: { ...detail.configuration, links: call.links.of("configurations", detail.configuration.id) } }),
    ...faultOf(detail, call),
    ...(isAdmin && { server_id: detail.serverId, volume_id: detail.volumeId, encrypted_rpc_messaging: true }),
  };
}

/** What went wrong last. That the volume is full is told for as long as it is, and stored nowhere. */
function faultOf({ instance }: Pick<Detail, "instance">, { actor }: Call) {
  const { faultMessage: message, faultDetails, updatedAt, readOnlySince } = instance;
  const at = instance.faultAt ?? updatedAt;
  const stored = message !== null && { fault: { message, created: stamp(at), details: actor.isAdmin ? faultDetails : null } };
  if (readOnlySince === null || (stored && (instance.task !== "NONE" || at > readOnlySince))) return stored;
  return { fault: { message: fullMessage, created: stamp(readOnlySince), details: null } };
}

const fullMessage =
  "The volume is nearly full, so the database is read-only (volume.full). Resize the volume; or delete data, in transactions begun with BEGIN READ WRITE. Writing is possible again by itself as soon as there is room.";

/** Beyond Trove: how far a member of a replica set is, as its guest last said. */
function replicationOf({ position }: Pick<Detail, "position">) {
  if (position === null) return {};
  const { role, streaming, lagBytes, lagSeconds, received, replayed, timeline, stalled } = position.seen;
  return {
    replication: {
      role,
      timeline,
      received,
      replayed,
      ...(streaming !== undefined && { connected: streaming }),
      ...(lagBytes !== undefined && { lag_bytes: lagBytes }),
      ...(lagSeconds !== undefined && { lag_seconds: round(lagSeconds) }),
      ...(stalled && { stalled }),
      seen: stamp(new Date(position.at)),
    },
  };
}

/** One instance. */
export function shown(detail: Detail, call: Call) {
  const { volumeGb, volumeUsedBytes, volumeTotalBytes } = detail.instance;
  const seen = volumeUsedBytes !== null && !noUsage.includes(statusOf(detail.instance));
  return {
    ...detailed(detail, call),
    ...replicationOf(detail),
    // Upstream looks it up for a single instance only.
    ...(detail.instance.locality !== null && { locality: detail.instance.locality }),
    volume: {
      size: volumeGb,
      // Beyond Trove.
      ...(detail.instance.readOnlySince !== null && { read_only_since: stamp(detail.instance.readOnlySince) }),
      ...(seen && {
        used: gigabytes(volumeUsedBytes),
        used_percent: round((100 * volumeUsedBytes) / (volumeTotalBytes ?? volumeGb * 2 ** 30)),
      }),
    },
  };
}
