import { and, eq, inArray, isNull } from "drizzle-orm";
import { backup } from "#core/backup/backup.sql";
import { idOf, named, running, unknownBackup, type Row } from "#core/backup/row";
import { now } from "#core/context";
import { inside, transaction } from "#core/db/index";
import { unprocessable } from "#core/error";
import { tellDone } from "#core/event/index";
import { failBackups } from "#core/instance/backups";
import { cancelRunning } from "#core/operation/index";
import { release } from "#core/quota/index";

/** A backup that has been running for so long may be deleted as if it were not (contract §7.1, `running_backups_expires`). */
const EXPIRES_MS = 3 * 86_400_000;

/**
 * Takes a backup away, and with it all that are differences to it (contract §6.12). They are hidden at once and their
 * quota is given back; their objects are removed by the sweep (`clean.ts`), whether or not the instance is still there.
 * 422 while one of them is running, and then all stay.
 */
export async function remove(wanted: string): Promise<void> {
  const id = idOf(wanted);
  await transaction(async (tx) => {
    const [row] = await tx.select().from(backup).where(named(id)).for("update");
    if (!row) throw unknownBackup(wanted);
    const all = [row, ...(await descendants([id]))];
    const at = now();
    const busy = all.filter(({ state }) => running.includes(state));
    const young = busy.find(({ createdAt }) => at.getTime() - createdAt.getTime() < EXPIRES_MS);
    if (young) {
      throw unprocessable(`Backup ${young.id} cannot be deleted because it is running.`, { reason: "backup.running", next: "Wait until it has ended, or stop it with the instance's action reset_status." });
    }
    for (const { instanceId } of busy) await giveUp(instanceId);
    for (const one of all) {
      const ours = one.state !== "RESTORED";
      await tx.update(backup).set({ deletedAt: at, updatedAt: at, cleanAt: ours ? at : null }).where(eq(backup.id, one.id));
      await release(one.projectId, { backups: 1 });
      await tellDone("backup_delete", { kind: "backup", id: one.id, projectId: one.projectId });
    }
  });
}

/** Children, their children and so on, held until the end of the open transaction. */
async function descendants(parents: string[]): Promise<Row[]> {
  const children = await inside()
    .select()
    .from(backup)
    .where(and(inArray(backup.parentId, parents), isNull(backup.deletedAt)))
    .orderBy(backup.id)
    .for("update");
  return children.length === 0 ? [] : [...children, ...(await descendants(children.map(({ id }) => id)))];
}

async function giveUp(instanceId: string | null): Promise<void> {
  if (instanceId === null) return;
  await failBackups(instanceId, "It had been running for more than three days, and was deleted.");
  await cancelRunning(instanceId);
}
