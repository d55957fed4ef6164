import type { Flavor } from "#core/flavor/index";
import type { Call } from "#functions/api/call";

/** Contract §2.10: `id` is a number only where the cloud's id is a plain decimal. */
export const flavorView = (flavor: Flavor, { links }: Call) => ({
  id: /^(0|[1-9]\d{0,14})$/.test(flavor.id) ? Number(flavor.id) : null,
  str_id: flavor.id,
  name: flavor.name,
  ram: flavor.ramMb,
  vcpus: flavor.vcpus,
  disk: flavor.diskGb,
  ephemeral: flavor.ephemeralGb,
  local_storage: flavor.ephemeralGb,
  links: links.of("flavors", flavor.id),
});
