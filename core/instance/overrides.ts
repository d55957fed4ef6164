import { and, eq, isNull } from "drizzle-orm";
import { configuration } from "#core/configuration/configuration.sql";
import { inside, read } from "#core/db/index";
import { badRequest, notFound } from "#core/error";
import { isUuid } from "#core/id";
import type { Overrides } from "#core/parameter/fact";

export const unknownConfiguration = (id: string) => notFound(`Configuration group ${id} cannot be found.`, { reason: "configuration.unknown" });

/**
 * The group as an instance of this project may have it, held until the end of the open transaction:
 * whoever changes it waits, and sees the instance among those it must reach. 404.
 */
export async function holdGroup(wanted: string, projectId: string): Promise<typeof configuration.$inferSelect> {
  if (!isUuid(wanted)) throw unknownConfiguration(wanted);
  const [row] = await inside()
    .select()
    .from(configuration)
    .where(and(eq(configuration.id, wanted.toLowerCase()), isNull(configuration.deletedAt)))
    .for("share");
  if (!row || row.projectId !== projectId) throw unknownConfiguration(wanted);
  return row;
}

/** What the attached group sets; nothing without one. */
export async function overridesOf(configurationId: string | null): Promise<Overrides> {
  if (configurationId === null) return {};
  const [row] = await read((tx) => tx.select({ values: configuration.values }).from(configuration).where(eq(configuration.id, configurationId)));
  return row?.values ?? {};
}

/** 400: contract §5.2, one group at a time. */
export const attachedAlready = (id: string, group: string) =>
  badRequest(`Instance ${id} has configuration group ${group} attached already.`, { reason: "configuration.attached", next: "Detach it first." });
