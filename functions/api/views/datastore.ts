import type { Datastore, Version } from "#core/datastore/index";
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
