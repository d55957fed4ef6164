import { and, asc, eq, isNotNull, isNull } from "drizzle-orm";
import { now } from "#core/context";
import { inside, read, transaction } from "#core/db/index";
import type { Version } from "#core/datastore/index";
import { datastoreParameter } from "#core/datastore/parameter.sql";
import { badRequest, notFound } from "#core/error";
import { refusal } from "#core/parameter/index";
import type { ParameterType } from "#core/parameter/fact";

export type Parameter = typeof datastoreParameter.$inferSelect;

const ofVersion = (versionId: string) => and(eq(datastoreParameter.datastoreVersionId, versionId), isNull(datastoreParameter.deletedAt));

/** What configuration groups of a version may set, by name. Some hundreds, never paged (contract §0.6). */
export const listParameters = (versionId: string): Promise<Parameter[]> =>
  read((tx) => tx.select().from(datastoreParameter).where(ofVersion(versionId)).orderBy(asc(datastoreParameter.name)));

/** One of them, in whatever case it is written; 404 when there is none. */
export async function getParameter(versionId: string, name: string): Promise<Parameter> {
  const [row] = await read((tx) => tx.select().from(datastoreParameter).where(and(ofVersion(versionId), eq(datastoreParameter.name, name.toLowerCase()))));
  if (!row) throw notFound(`Configuration parameter '${name}' cannot be found.`, { reason: "parameter.unknown" });
  return row;
}

/** What an administrator says of a parameter. */
export interface ParameterRule {
  type: ParameterType;
  restartRequired: boolean;
  min: number | null;
  max: number | null;
}

/** Offers a parameter. 400 for one that is offered already, and for one that no group may ever set. */
export async function createParameter({ id, manager }: Version, name: string, rule: ParameterRule): Promise<Parameter> {
  const because = refusal(manager, name);
  if (because !== undefined) throw badRequest(`Parameter '${name}' cannot be offered: ${because}.`, { reason: "parameter.refused" });
  const said = { ...rule, unit: null, values: null, origin: "admin", deletedAt: null } as const;
  const [row] = await transaction((tx) =>
    tx
      .insert(datastoreParameter)
      .values({ datastoreVersionId: id, name: name.toLowerCase(), ...said })
      .onConflictDoUpdate({ target: [datastoreParameter.datastoreVersionId, datastoreParameter.name], set: said, setWhere: isNotNull(datastoreParameter.deletedAt) })
      .returning(),
  );
  if (!row) throw badRequest(`Parameter '${name}' exists already.`, { reason: "parameter.exists" });
  return row;
}

/** Changes what is said of a parameter; 404 when there is none. Its unit stays, and its words while it is a string. */
export async function updateParameter(versionId: string, name: string, rule: ParameterRule): Promise<Parameter> {
  const before = await getParameter(versionId, name);
  const [row] = await transaction((tx) =>
    tx
      .update(datastoreParameter)
      .set({ ...rule, origin: "admin", ...(rule.type !== "string" && { values: null }) })
      .where(and(ofVersion(versionId), eq(datastoreParameter.name, before.name)))
      .returning(),
  );
  return row ?? before;
}

/** Offers a parameter no longer; groups that set it keep their value. 400 when there is none (contract §2.7). */
export async function deleteParameter(versionId: string, name: string): Promise<void> {
  const rows = await transaction(() =>
    inside()
      .update(datastoreParameter)
      .set({ deletedAt: now(), origin: "admin" })
      .where(and(ofVersion(versionId), eq(datastoreParameter.name, name.toLowerCase())))
      .returning({ name: datastoreParameter.name }),
  );
  if (rows.length === 0) throw badRequest(`Parameter '${name}' does not exist.`, { reason: "parameter.unknown" });
}
