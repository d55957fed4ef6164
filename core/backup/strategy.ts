import { and, asc, eq, inArray } from "drizzle-orm";
import { backupStrategy } from "#core/backup/backup.sql";
import { checkContainer, DEFAULT_CONTAINER } from "#core/backup/place";
import { user } from "#core/context";
import { read, transaction } from "#core/db/index";

export type Strategy = typeof backupStrategy.$inferSelect;

/** Strategies choose containers: one for all of a project, one for each instance that is named (contract §2.6). */
export async function setStrategy(instanceId: string, container: string): Promise<Strategy> {
  checkContainer(container);
  const row = { projectId: user().projectId, instanceId, container };
  await transaction((tx) =>
    tx
      .insert(backupStrategy)
      .values(row)
      .onConflictDoUpdate({ target: [backupStrategy.projectId, backupStrategy.instanceId], set: { container } }),
  );
  return row;
}

export const listStrategies = (projectId: string, instanceId?: string): Promise<Strategy[]> =>
  read((tx) =>
    tx
      .select()
      .from(backupStrategy)
      .where(and(eq(backupStrategy.projectId, projectId), instanceId ? eq(backupStrategy.instanceId, instanceId.toLowerCase()) : undefined))
      .orderBy(asc(backupStrategy.instanceId)),
  );

/** Absent is fine. Without an instance: the one of the project. */
export async function removeStrategy(projectId: string, instanceId: string): Promise<void> {
  await transaction((tx) => tx.delete(backupStrategy).where(and(eq(backupStrategy.projectId, projectId), eq(backupStrategy.instanceId, instanceId.toLowerCase()))));
}

/** The container of a backup for which the request names none: of the instance, of the project, of the installation (contract §6.12). */
export async function containerFor(projectId: string, instanceId: string): Promise<string> {
  const rows = await read((tx) =>
    tx
      .select()
      .from(backupStrategy)
      .where(and(eq(backupStrategy.projectId, projectId), inArray(backupStrategy.instanceId, ["", instanceId]))),
  );
  const found = rows.find((row) => row.instanceId === instanceId) ?? rows[0];
  return found?.container ?? DEFAULT_CONTAINER;
}
