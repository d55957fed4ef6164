import { begun, completed, underWay } from "#core/backup/end";
import { AppError } from "#core/error";
import { outcome as outcomeOf } from "#core/guest/client";
import { BackupResult, type JobSpec } from "#core/guest/protocol";
import { failBackups } from "#core/instance/backups";
import type { Context } from "#core/workflow/context";
import { define, done, go, wait } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { extended, finished, giveUp, jobIdOf } from "#core/workflow/guest";

export const backup = define(
  "backup",
  {
    comment: "The guest copies the database into the object store while it serves. What a failed one has stored is removed by the sweep.",
    about: {
      begin: "From now on the backup is under way.",
      copy: "The guest copies; what it moves extends the time it may take.",
    },
    settle: async (c, outcome) => {
      const id = backupOf(c);
      if (outcome === "done") {
        await completed(id, await resultOf(c));
        return { backupId: null };
      }
      await giveUp(c, "copy", "cancel_backup", { backupId: id });
      const told = fault(c, outcome);
      await failBackups(c.instance.id, told.faultMessage ?? "It failed.");
      return { backupId: null, ...told };
    },
  },
  {
    begin: async (c) => {
      await begun(backupOf(c));
      return go("copy");
    },
    copy: async (c) => {
      if (!(await finished(c, "copy", "backup", await specOf(c)))) return wait(5, await extended(c, jobIdOf(c, "copy")));
      await resultOf(c);
      return done();
    },
  },
);

function backupOf({ operation }: Context): string {
  const { backupId } = operation.input;
  if (backupId === undefined) throw new Error("the operation has no backupId");
  return backupId;
}

async function specOf(c: Context): Promise<JobSpec<"backup">> {
  const { row, parent } = await underWay(backupOf(c));
  const { id, name, projectId, container, prefix } = row;
  return {
    backupId: id,
    label: name,
    place: { projectId, container, prefix },
    ...(parent?.checksum && !parent.deletedAt && { parent: { backupId: parent.id, checksum: parent.checksum } }),
  };
}

/** What the guest answered; one that does not say what it made has made nothing. */
async function resultOf(c: Context): Promise<BackupResult> {
  const parsed = BackupResult.safeParse((await outcomeOf(jobIdOf(c, "copy")))?.result);
  if (parsed.success) return parsed.data;
  throw new AppError("badRequest", "The guest's account of the backup is not understood.", { reason: "guest.answer", final: true, next: "Rebuild the instance with a current image.", cause: parsed.error });
}
