import { and, eq } from "drizzle-orm";
import { backup } from "#core/backup/backup.sql";
import { isRunning, type Row } from "#core/backup/row";
import { now } from "#core/context";
import { inside, read, transaction } from "#core/db/index";
import { AppError } from "#core/error";
import type { BackupResult } from "#core/guest/protocol";

/** A backup as the run that makes it sees it, and its parent. */
export async function underWay(id: string): Promise<{ row: Row; parent: Row | undefined }> {
  const find = async (wanted: string) => (await read((tx) => tx.select().from(backup).where(eq(backup.id, wanted))))[0];
  const row = await find(id);
  if (!row) throw new AppError("instanceFault", `There is no backup ${id}.`, { reason: "backup.missing", final: true });
  return { row, parent: row.parentId === null ? undefined : await find(row.parentId) };
}

/** The guest is about to be asked. */
export async function begun(id: string): Promise<void> {
  await transaction((tx) => tx.update(backup).set({ state: "BUILDING", updatedAt: now() }).where(and(eq(backup.id, id), eq(backup.state, "NEW"))));
}

/** In the transaction that ends its run. One that was given up meanwhile stays so. */
export async function completed(id: string, result: BackupResult): Promise<void> {
  const { bytes, dataBytes, checksum, startLsn, stopLsn, timeline, systemIdentifier, stoppedAt, incremental } = result;
  await inside()
    .update(backup)
    .set({
      state: "COMPLETED",
      updatedAt: now(),
      storedBytes: Math.round(bytes),
      dataBytes: Math.round(dataBytes),
      checksum,
      startLsn,
      stopLsn,
      timeline,
      systemIdentifier,
      stoppedAt: new Date(stoppedAt),
      // The guest found the parent of no use, and made a whole one.
      ...(!incremental && { parentId: null }),
    })
    .where(and(eq(backup.id, id), isRunning()));
}
