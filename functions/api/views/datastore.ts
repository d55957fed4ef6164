import type { Datastore, Version } from "#core/datastore/index";
import type { Managed } from "#core/datastore/manage";
import type { Call } from "#functions/api/call";

/** Contract §2.9; `nested` versions do not repeat their datastore. */
export function versionView(version: Version, { actor, links }: Call, nested = false) {
  return {
    id: version.id,
    name: version.name,
    version: version.version,
    links: links.of("datastores/versions", version.id),
    ...(!nested && { datastore: version.datastoreId }),
    ...(actor.isAdmin && {
      active: version.active,
      packages: version.packages.length > 0 ? version.packages.join(",") : null,
      image: version.image,
      image_tags: version.imageTags,
      registry_ext: version.registryExt,
      repl_strategy: version.replStrategy,
    }),
  };
}

export const datastoreView = ({ id, name, defaultVersionId }: Datastore, versions: Version[], call: Call) => ({
  id,
  name,
  links: call.links.of("datastores", id),
  versions: versions.map((one) => versionView(one, call, true)),
  ...(defaultVersionId !== null && { default_version: defaultVersionId }),
});

/** As administrators manage it: no tags and no packages are a list of one empty text (contract §2.9). */
export const managedVersionView = ({ store, version }: Managed) => ({
  id: version.id,
  name: version.name,
  version: version.version,
  datastore_id: store.id,
  datastore_name: store.name,
  datastore_manager: version.manager,
  image: version.image,
  image_tags: orBlank(version.imageTags),
  packages: orBlank(version.packages),
  active: version.active,
  registry_ext: version.registryExt,
  repl_strategy: version.replStrategy,
  default: store.defaultVersionId === version.id,
});

const orBlank = (list: string[]) => (list.length > 0 ? list : [""]);
