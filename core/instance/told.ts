import type { Traits } from "#core/event/event.sql";
import type { JobKind, JobSpec } from "#core/guest/protocol";
import type { instance, Nic } from "#core/instance/instance.sql";

export const namesOf = (list: { name: string }[]) => list.map(({ name }) => name).join(",");

/** What work of the guest is told as (contract §8.6); kinds that are not here tell nothing. Several names are joined by commas. */
const events: { [K in JobKind]?: { name: string; traits: (spec: JobSpec<K>) => Traits } } = {
  create_databases: { name: "database_create", traits: ({ databases }) => ({ dbname: namesOf(databases) }) },
  delete_database: { name: "database_delete", traits: ({ name }) => ({ dbname: name }) },
  create_users: { name: "user_create", traits: ({ users }) => ({ username: namesOf(users) }) },
  delete_user: { name: "user_delete", traits: ({ name }) => ({ username: name }) },
  update_user: { name: "user_update_attributes", traits: ({ name }) => ({ username: name }) },
  change_passwords: { name: "user_change_password", traits: ({ users }) => ({ username: namesOf(users) }) },
  grant: { name: "user_grant", traits: ({ name, databases }) => ({ username: name, database: databases.join(",") }) },
  revoke: { name: "user_revoke", traits: ({ name, database }) => ({ username: name, database }) },
};

export function toldOf<K extends JobKind>(kind: K, spec: JobSpec<K>): { told?: { name: string; traits: Traits } } {
  const told = events[kind];
  return told ? { told: { name: told.name, traits: told.traits(spec) } } : {};
}

type Made = Pick<typeof instance.$inferInsert, "name" | "flavorId" | "volumeGb" | "region" | "availabilityZone">;

/** What is told of every new instance (contract §8.6). */
export function createdTraits({ name, flavorId, volumeGb, region, availabilityZone }: Made, runs: { datastore: string; version: string; image: string | null }, { nics, configuration }: { nics: Nic[]; configuration?: string }): Traits {
  return {
    name,
    flavor_id: flavorId,
    datastore: runs.datastore,
    datastore_version: runs.version,
    image_id: runs.image,
    availability_zone: availabilityZone ?? null,
    region_name: region,
    volume_size: volumeGb,
    ...(nics.length > 0 && { nics: nics.map((nic) => nic.network_id ?? nic.subnet_id ?? "").join(",") }),
    ...(configuration !== undefined && { configuration_id: configuration }),
  };
}
