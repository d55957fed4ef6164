import type { Traits } from "#core/event/event.sql";
import type { JobKind, JobSpec } from "#core/guest/protocol";

const names = (list: { name: string }[]) => list.map(({ name }) => name).join(",");

/** What work of the guest is told as (contract §8.6); kinds that are not here tell nothing. Several names are joined by commas. */
const events: { [K in JobKind]?: { name: string; traits: (spec: JobSpec<K>) => Traits } } = {
  create_databases: { name: "database_create", traits: ({ databases }) => ({ dbname: names(databases) }) },
  delete_database: { name: "database_delete", traits: ({ name }) => ({ dbname: name }) },
  create_users: { name: "user_create", traits: ({ users }) => ({ username: names(users) }) },
  delete_user: { name: "user_delete", traits: ({ name }) => ({ username: name }) },
  update_user: { name: "user_update_attributes", traits: ({ name }) => ({ username: name }) },
  change_passwords: { name: "user_change_password", traits: ({ users }) => ({ username: names(users) }) },
  grant: { name: "user_grant", traits: ({ name, databases }) => ({ username: name, database: databases.join(",") }) },
  revoke: { name: "user_revoke", traits: ({ name, database }) => ({ username: name, database }) },
};

export function toldOf<K extends JobKind>(kind: K, spec: JobSpec<K>): { told?: { name: string; traits: Traits } } {
  const told = events[kind];
  return told ? { told: { name: told.name, traits: told.traits(spec) } } : {};
}
