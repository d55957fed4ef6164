import { system } from "#core/actor";
import { enter } from "#core/context";
import { Database, transaction } from "#core/db/index";
import { seed as seedDatastores } from "#core/datastore/seed";
import { seed as seedFlavors } from "#core/flavor/index";

/** What every instance of a measured database refers to: PostgreSQL 17 and the flavor `1`. */
export async function fillCatalogue(systemUrl: string, socketDirectory: string): Promise<void> {
  const db = new Database(systemUrl, { max: 1, prepare: true, socketDirectory });
  await enter({ db, actor: system("bench") }, () =>
    transaction(async () => {
      await seedDatastores([{ name: "postgresql", manager: "postgresql", versions: [{ name: "17", version: "17.10", isDefault: true }] }]);
      await seedFlavors([{ id: "1", name: "tiny", ramMb: 512, vcpus: 1 }]);
    }),
  );
  await db.close();
}
