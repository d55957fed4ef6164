import { eq } from "drizzle-orm";
import { lineOf } from "#core/datastore/index";
import { datastoreVersion } from "#core/datastore/datastore.sql";
import { read } from "#core/db/index";
import type { ServerSpec } from "#core/driver/compute";
import { AppError } from "#core/error";

/** Which engine build a server of this datastore version must carry. */
export async function imageOf(versionId: string): Promise<ServerSpec["image"]> {
  const [row] = await read((tx) =>
    tx
      .select({ version: datastoreVersion.version, manager: datastoreVersion.manager })
      .from(datastoreVersion)
      .where(eq(datastoreVersion.id, versionId)),
  );
  if (!row) throw new AppError("badRequest", "The datastore version is no longer offered.", { reason: "datastore.unknown", final: true });
  return { manager: row.manager, version: lineOf(row.manager, row.version) };
}
