import type { Config } from "#core/config";
import { ambient } from "#core/context";
import { common, transaction, type Database } from "#core/db/index";
import * as Datastore from "#core/datastore/index";
import { seed as seedDatastores, type DatastoreSeed } from "#core/datastore/seed";
import * as Flavor from "#core/flavor/index";

export interface Catalogue {
  flavors: Parameters<typeof Flavor.seed>[0];
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
    await Flavor.seed(flavors);
    await seedDatastores(datastores);
  });
}

interface Offer {
  stores: Datastore.Datastore[];
  flavors: Flavor.Flavor[];
}

const offers = new WeakMap<Database, { readAt: number; offer: Promise<Offer> }>();

/**
 * What can be ordered, as it was at most `COFFER_CATALOGUE_MS` ago: it changes by an administrator's hand, and reading it
 * costs a quarter of a create. Who orders what has just been withdrawn gets it, as if he had asked that much sooner.
 */
export async function offered({ COFFER_CATALOGUE_MS: oldest }: Config): Promise<Offer> {
  const { db, clock } = ambient();
  const at = clock.now().getTime();
  const known = offers.get(db);
  if (known && at - known.readAt < oldest) return known.offer;
  const offer = common(async () => {
    const [stores, flavors] = await Promise.all([Datastore.list(), Flavor.list()]);
    return { stores, flavors };
  });
  const entry = { readAt: at, offer };
  offers.set(db, entry);
  // Whoever shares a failed look is told of it; the next one looks again.
  offer.catch(() => void (offers.get(db) === entry && offers.delete(db)));
  return offer;
}
