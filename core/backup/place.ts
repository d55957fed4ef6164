import { longestName, type Container } from "#core/driver/objectstore";
import { badRequest } from "#core/error";
import type { Place } from "#core/guest/protocol";

/** Where backups go that nobody chose a container for (contract §7.1, `backup_swift_container`). */
export const DEFAULT_CONTAINER = "database_backups";

export const prefixOf = (backupId: string) => `backups/${backupId}`;
/** The object that makes a backup whole: it lists all others. */
export const manifestOf = (prefix: string) => `${prefix}/manifest`;
export const containerOf = ({ projectId, container }: Pick<Place, "projectId" | "container">): Container => ({ projectId, name: container });

/** Where the WAL of an instance is archived: below it the guest orders by server and timeline. */
export const walPlace = ({ instanceId, projectId }: { instanceId: string; projectId: string }): Place => ({ projectId, container: "wal", prefix: instanceId });

/** The object store of an installation, as the API knows it: `root` is what accounts' addresses begin with, `http://host/v1`. */
export const locationOf = (root: string, { projectId, container, prefix }: Place) =>
  `${root}/AUTH_${projectId}/${encodeURIComponent(container)}/${manifestOf(prefix)}`;

/** What such an address names; undefined for any other. */
export function placeAt(root: string, location: string): Place | undefined {
  if (!location.startsWith(`${root}/AUTH_`)) return undefined;
  const found = /^([^/]+)\/([^/]+)\/(.+)\/manifest$/.exec(location.slice(`${root}/AUTH_`.length));
  const [, projectId, container, prefix] = found ?? [];
  if (projectId === undefined || container === undefined || prefix === undefined) return undefined;
  try {
    return { projectId, container: decodeURIComponent(container), prefix };
  } catch {
    // No percent-encoding: no address of ours.
    return undefined;
  }
}

/** What a shell takes as one word, as upstream asks for (contract §2.6), and an object store as a container. */
const containerName = /^[\w@%+=:,.-]+$/;

/** 400 for what cannot name a container. */
export function checkContainer(name: string): void {
  if (containerName.test(name) && Buffer.byteLength(name) <= longestName.container) return;
  throw badRequest(`swift_container: '${name.slice(0, 80)}' is no name of a container: at most ${longestName.container} letters, digits and _@%+=:,.- are.`, { reason: "container.name" });
}
