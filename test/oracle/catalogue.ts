import type { Catalogue } from "#core/instance/catalogue";

/** The flavors of the Nova that python3-trove fakes, in its order. */
const nova: [id: string, diskGb: number, name: string, ramMb: number, ephemeralGb?: number][] = [
  ["1", 0, "m1.tiny", 512],
  ["2", 20, "m1.small", 2048],
  ["3", 40, "m1.medium", 4096],
  ["4", 80, "m1.large", 8192],
  ["5", 160, "m1.xlarge", 16384],
  ["6", 0, "m1.nano", 64],
  ["7", 0, "m1.micro", 128],
  ["8", 2, "m1.rd-smaller", 768],
  ["9", 10, "tinier", 506],
  ["10", 2, "m1.rd-tiny", 512],
  ["11", 0, "eph.rd-tiny", 512, 1],
  ["12", 20, "eph.rd-smaller", 768, 2],
  ["custom", 25, "custom.small", 512, 1],
];
export const flavors: Catalogue["flavors"] = nova.map(([id, diskGb, name, ramMb, ephemeralGb = 0]) => ({ id, diskGb, name, ramMb, ephemeralGb, vcpus: 10 }));

/** `redis` is one whose users the API does not manage, `old` one of which nothing can be ordered any more. */
export const datastores: Catalogue["datastores"] = [
  {
    name: "postgresql",
    manager: "postgresql",
    versions: [
      { name: "15", version: "15.1" },
      { name: "16", version: "16.14" },
      { name: "17", version: "17.10", isDefault: true },
    ],
  },
  { name: "redis", manager: "redis", versions: [{ name: "7", version: "7.2", isDefault: true }] },
  { name: "couchdb", manager: "couchdb", versions: [{ name: "1", version: "1.6", isDefault: true }] },
];
/** Datastore and version. */
export const inactive: [string, string][] = [
  ["postgresql", "15"],
  ["couchdb", "1"],
];
export const imageId = "10000000-0000-4000-8000-000000000001";

/** By Trove's names (contract §7.1). */
export const limits = {
  max_accepted_volume_size: 10,
  max_instances_per_tenant: 12,
  max_volumes_per_tenant: 40,
  max_backups_per_tenant: 50,
  http_get_rate: 100_000,
  http_post_rate: 100_000,
  http_put_rate: 100_000,
  http_delete_rate: 100_000,
  // The reference's guests report once.
  agent_heartbeat_expiry: 100_000,
};
