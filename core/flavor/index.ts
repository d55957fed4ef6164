import { asc, eq, sql } from "drizzle-orm";
import { inside, read } from "#core/db/index";
import { statement } from "#core/db/statement";
import { flavor } from "#core/flavor/flavor.sql";

export type Flavor = typeof flavor.$inferSelect;

/** All flavors, smallest first. */
export const list = (): Promise<Flavor[]> =>
  read((tx) => tx.select().from(flavor).orderBy(asc(flavor.ramMb), asc(flavor.id)));

const withId = statement((tx) => tx.select().from(flavor).where(eq(flavor.id, sql.placeholder("id"))));

export async function find(id: string): Promise<Flavor | undefined> {
  const [row] = await read((tx) => withId(tx, { id }));
  return row;
}

/** Makes the stored flavors say what is given, in the open transaction; others stay. */
export async function seed(flavors: (Pick<Flavor, "id" | "name" | "ramMb" | "vcpus"> & Partial<Flavor>)[]): Promise<void> {
  if (flavors.length === 0) return;
  await inside()
    .insert(flavor)
    .values(flavors)
    .onConflictDoUpdate({
      target: flavor.id,
      set: {
        name: sql`excluded.name`,
        ramMb: sql`excluded.ram_mb`,
        vcpus: sql`excluded.vcpus`,
        diskGb: sql`excluded.disk_gb`,
        ephemeralGb: sql`excluded.ephemeral_gb`,
      },
    });
}
