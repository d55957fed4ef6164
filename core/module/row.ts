import { and, asc, eq, isNull, or, type SQL } from "drizzle-orm";
import { user } from "#core/context";
import { read } from "#core/db/index";
import { datastore, datastoreVersion } from "#core/datastore/datastore.sql";
import * as Datastore from "#core/datastore/index";
import { notFound } from "#core/error";
import { isUuid } from "#core/id";
import { module } from "#core/module/module.sql";

export type Row = typeof module.$inferSelect;

/** A module with the names its views need; null = any. */
export interface Module {
  module: Row;
  datastore: { name: string } | null;
  version: { name: string } | null;
}

export const unknownModule = (id: string) => notFound(`Module ${id} cannot be found.`, { reason: "module.unknown" });

/** Those of the actor's project and of all, without the hidden ones; an admin sees everything. */
const seen = () => {
  const { isAdmin, projectId } = user();
  return isAdmin ? undefined : and(eq(module.visible, true), or(eq(module.projectId, projectId), eq(module.shared, true)));
};

const select = (where: SQL | undefined): Promise<Module[]> =>
  read((tx) =>
    tx
      .select({ module, datastore: { name: datastore.name }, version: { name: datastoreVersion.name } })
      .from(module)
      .leftJoin(datastore, eq(datastore.id, module.datastoreId))
      .leftJoin(datastoreVersion, eq(datastoreVersion.id, module.datastoreVersionId))
      .where(and(isNull(module.deletedAt), seen(), where))
      .orderBy(asc(module.name), asc(module.id)),
  );

/** One module; 404. */
export async function get(id: string): Promise<Module> {
  const [row] = isUuid(id) ? await select(eq(module.id, id.toLowerCase())) : [];
  if (!row) throw unknownModule(id);
  return row;
}

/** All that the actor may see: contract §0.6 has no pages of them. `all` = those of no datastore. */
export async function list(wanted?: string): Promise<Module[]> {
  if (wanted === undefined || wanted === "") return select(undefined);
  if (wanted.toLowerCase() === "all") return select(isNull(module.datastoreId));
  return select(eq(module.datastoreId, Datastore.pick(await Datastore.list(), wanted).id));
}
