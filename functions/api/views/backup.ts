import * as Backups from "#core/backup/index";
import { stamp } from "#core/stamp";
import type { Call } from "#functions/api/call";

const gigabytes = (bytes: number | null) => bytes && Math.round((bytes / 2 ** 30) * 100) / 100;

/** A backup (contract §2.6), the same in lists and alone. */
export function backupView({ backup, datastore, version }: Backups.Backup, { objects }: Call) {
  const stored = backup.state === "COMPLETED" || backup.state === "RESTORED";
  return {
    id: backup.id,
    name: backup.name,
    description: backup.description,
    locationRef: objects && stored ? Backups.locationOf(objects.root, backup) : null,
    instance_id: backup.instanceId,
    created: stamp(backup.createdAt),
    updated: stamp(backup.updatedAt),
    size: gigabytes(backup.dataBytes),
    status: backup.state,
    parent_id: backup.parentId,
    project_id: backup.projectId,
    datastore: { type: datastore.name, version: version.name, version_id: backup.datastoreVersionId },
    // Beyond Trove: what the store holds, and why there is nothing.
    ...(backup.storedBytes !== null && { stored_size: gigabytes(backup.storedBytes) }),
    ...(backup.state === "FAILED" && { fault: { message: backup.faultMessage, created: stamp(backup.updatedAt) } }),
  };
}

/** Beyond Trove: from when to when an instance can be restored to any second, but for the gaps. */
export const windowView = ({ earliest, latest, gaps, pendingBytes, error }: Backups.Window) => ({
  earliest: earliest ? stamp(earliest) : null,
  latest: latest ? stamp(latest) : null,
  gaps: gaps.map(({ from, to }) => ({ from: stamp(from), to: stamp(to) })),
  pending_bytes: pendingBytes,
  ...(error !== undefined && { error }),
});

export const strategyView = ({ projectId, instanceId, container }: Backups.Strategy) => ({
  project_id: projectId,
  instance_id: instanceId,
  backend: "swift",
  swift_container: container,
});
