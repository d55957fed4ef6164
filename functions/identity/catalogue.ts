import { createHash } from "node:crypto";
import { listServices, type ServiceRow } from "#functions/identity/store";

export interface CatalogueOptions {
  /** Identity root, unversioned: clients find the version by discovery. */
  publicUrl: string;
  /** Endpoint of service type `database` for a project. */
  databaseUrl: (projectId: string) => string;
  /** Of service type `object-store`; absent where there is none, which then is in no catalogue. */
  objectStoreUrl?: (projectId: string) => string;
  /** Endpoint of service type `key-manager`. */
  keyManagerUrl: string;
  region: string;
}

const INTERFACES = ["public", "internal", "admin"] as const;

interface Endpoint {
  id: string;
  interface: (typeof INTERFACES)[number];
  url: string;
  region: string;
  region_id: string;
}

export interface CatalogueEntry {
  id: string;
  name: string;
  type: string;
  endpoints: Endpoint[];
}

/** Where a project's services are. One address each, so the three interfaces are the same. */
export async function catalogueOf(options: CatalogueOptions, projectId: string): Promise<CatalogueEntry[]> {
  const services = await listServices();
  return services.map(({ id, name, type }) => ({ id, name, type, endpoints: endpointsOf(options, { id, type }, projectId) })).filter(({ endpoints }) => endpoints.length > 0);
}

/** `projectId` may be the placeholder `%(project_id)s` that endpoint lists show. */
export function endpointsOf(
  { publicUrl, databaseUrl, keyManagerUrl, objectStoreUrl, region }: CatalogueOptions,
  { id, type }: Pick<ServiceRow, "id" | "type">,
  projectId: string,
): Endpoint[] {
  const url = type === "database" ? databaseUrl(projectId) : type === "key-manager" ? keyManagerUrl : type === "object-store" ? objectStoreUrl?.(projectId) : publicUrl;
  if (url === undefined) return [];
  return INTERFACES.map((kind) => ({
    // Computed, so that it stays the same without being stored.
    id: createHash("sha256").update(`${id}:${kind}`).digest("hex").slice(0, 32),
    interface: kind,
    url,
    region,
    region_id: region,
  }));
}
