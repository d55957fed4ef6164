import { and, asc, eq, isNull } from "drizzle-orm";
import { read } from "#core/db/index";
import { statement } from "#core/db/statement";
import { datastore, datastoreVersion } from "#core/datastore/datastore.sql";
import { badRequest, notFound } from "#core/error";
import { isUuid } from "#core/id";

export type Version = typeof datastoreVersion.$inferSelect;
export type Datastore = typeof datastore.$inferSelect & { versions: Version[] };

/** TCP port that clients of an engine expect. */
const ports: Record<string, number> = { postgresql: 5432, mysql: 3306, mariadb: 3306, redis: 6379 };
export const standardPort = (manager: string): number | undefined => ports[manager];
/** The engines that are known at all. */
export const managers = Object.keys(ports);

/** How many parts of a number name a line of releases, which share their data: `17` of 17.10, `11.4` of 11.4.7. */
const lineParts: Record<string, number> = { postgresql: 1 };
/** The line of releases that a number belongs to. */
export const lineOf = (manager: string, version: string) => version.split(".").slice(0, lineParts[manager] ?? 2).join(".");

const everything = statement((tx) =>
  tx
    .select({ store: datastore, version: datastoreVersion })
    .from(datastore)
    .leftJoin(datastoreVersion, and(eq(datastoreVersion.datastoreId, datastore.id), isNull(datastoreVersion.deletedAt)))
    .where(isNull(datastore.deletedAt))
    .orderBy(asc(datastore.name), asc(datastoreVersion.name), asc(datastoreVersion.version)),
);

/** Every datastore with all its versions, by name. A handful of rows: one statement, never paged. */
export async function list(): Promise<Datastore[]> {
  const rows = await read((tx) => everything(tx, {}));
  const stores = new Map<string, Datastore>();
  for (const { store, version } of rows) {
    const present = stores.get(store.id) ?? { ...store, versions: [] };
    if (version) present.versions.push(version);
    stores.set(store.id, present);
  }
  return [...stores.values()];
}

/** A datastore by name or id; 404 when there is none. */
export function pick(stores: Datastore[], wanted: string): Datastore {
  const found = stores.find((one) => one.name === wanted || one.id === wanted.toLowerCase());
  if (!found) throw notFound(`Datastore '${wanted}' cannot be found.`, { reason: "datastore.unknown" });
  return found;
}

/** A version by name or id, also an inactive one. An unknown id is 404, an unknown name 400 (contract §2.9, §4.2). */
export function pickVersion(store: Datastore, wanted: string, number?: string): Version {
  const unknown = `Datastore version '${wanted}' cannot be found.`;
  if (isUuid(wanted)) {
    const found = store.versions.find((one) => one.id === wanted.toLowerCase());
    if (!found) throw notFound(unknown, { reason: "datastore.version_unknown" });
    return found;
  }
  const named = store.versions.filter((one) => one.name === wanted && (number === undefined || one.version === number));
  const [first, ...more] = named;
  if (!first) throw badRequest(unknown, { reason: "datastore.version_unknown" });
  if (more.length > 0) {
    throw badRequest(`Datastore version '${wanted}' exists with several numbers: ${named.map((one) => one.version).join(", ")}.`, {
      reason: "datastore.version_ambiguous",
      next: "Give version_number as well.",
    });
  }
  return first;
}

export interface Choice {
  /** Name or id. */
  type?: string;
  /** Name or id. */
  version?: string;
  versionNumber?: string;
}

/** What a request's `datastore` means (contract §2.9); inactive versions are chosen only where that is said. */
export function resolve(stores: Datastore[], choice: Choice, defaultType: string, { inactive = false } = {}): { store: Datastore; version: Version } {
  const type = choice.type ?? defaultType;
  if (!type) throw badRequest("No datastore was given, and there is no default.", { reason: "datastore.no_default" });
  const store = pick(stores, type);
  const wanted = choice.version ?? store.defaultVersionId;
  if (!wanted) throw badRequest(`Datastore '${store.name}' has no default version.`, { reason: "datastore.no_default" });
  const version = pickVersion(store, wanted, choice.versionNumber);
  if (!version.active && !inactive) {
    throw badRequest(`Datastore version '${version.name}' is not active.`, { reason: "datastore.version_inactive" });
  }
  return { store, version };
}
