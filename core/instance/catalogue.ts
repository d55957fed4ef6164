import { transaction } from "#core/db/index";
import { seed as seedDatastores, type DatastoreSeed } from "#core/datastore/seed";
import { seed as seedFlavors } from "#core/flavor/index";

export interface Catalogue {
  flavors: Parameters<typeof seedFlavors>[0];
  datastores: DatastoreSeed[];
}

/** Flavors of the one-machine home. */
export const localFlavors: Catalogue["flavors"] = [
  { id: "1", name: "tiny", ramMb: 512, vcpus: 1 },
  { id: "2", name: "small", ramMb: 1024, vcpus: 1 },
  { id: "3", name: "medium", ramMb: 2048, vcpus: 2 },
];

/** Brings what can be ordered up to date. May run at every start; changes nothing that is right already. */
export async function seedCatalogue({ flavors, datastores }: Catalogue): Promise<void> {
  await transaction(async () => {
    await seedFlavors(flavors);
    await seedDatastores(datastores);
  });
}
