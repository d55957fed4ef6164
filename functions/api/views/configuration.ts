import type { Group } from "#core/configuration/index";
import type { Overrides } from "#core/parameter/fact";
import { stamp } from "#core/stamp";

/** A configuration group in a list (contract §2.7). */
export const groupListed = ({ group, datastore, version }: Group) => ({
  id: group.id,
  name: group.name,
  description: group.description,
  created: stamp(group.createdAt),
  updated: stamp(group.updatedAt),
  datastore_version_id: group.datastoreVersionId,
  datastore_name: datastore.name,
  datastore_version_name: version.name,
});

/** One group. */
export const groupShown = (found: Group, instanceCount: number) => ({
  ...groupListed(found),
  datastore_version_number: found.version.version,
  values: masked(found.group.values),
  instance_count: instanceCount,
});

/** As upstream does, by the name alone: `password_encryption` is masked too. */
const masked = (values: Overrides) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, /password|passwd|secret|token/i.test(name) ? "***" : value]));
