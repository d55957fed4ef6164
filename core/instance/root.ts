import { and, desc, eq, isNull } from "drizzle-orm";
import { randomBytes } from "node:crypto";
import { newId, now, user } from "#core/context";
import { inside, read, transaction } from "#core/db/index";
import { notFound } from "#core/error";
import { awaitJob } from "#core/guest/client";
import { scramVerifier } from "#core/guest/scram";
import { rootHistory } from "#core/instance/instance.sql";
import { demandDone, finish, subject, submit, type Reach } from "#core/instance/work";

/** Contract §7.1 `default_password_length`. */
const PASSWORD_LENGTH = 36;

/** 27 random bytes in base64url are 36 characters: 216 bit. */
export const generatePassword = () => randomBytes((PASSWORD_LENGTH * 3) / 4).toString("base64url");

/** Whether root has been enabled and not disabled since. */
export async function rootEnabled(instanceId: string): Promise<boolean> {
  return (await subject(instanceId)).row.rootEnabled;
}

/**
 * Enables root with this password, or with a generated one, each time anew (contract §6.15). The
 * history names who asked from the moment the job is accepted: if the reply is lost it says too
 * much rather than too little. Returns the password; it is stored nowhere.
 */
export async function enableRoot(instanceId: string, given: string | undefined, reach: Reach): Promise<string> {
  const on = await subject(instanceId);
  const password = given ?? generatePassword();
  const verifier = await scramVerifier(password);
  const entry = { id: newId(), instanceId: on.row.id, projectId: on.row.projectId, userId: user().userId, enabledAt: now() };
  const job = await submit(on, "enable_root", reach, async () => {
    await inside().insert(rootHistory).values(entry);
    return { verifier };
  });
  const seen = await awaitJob(job, reach.waitMs);
  if (seen?.state === "failed") {
    await transaction((tx) => tx.update(rootHistory).set({ disabledAt: now() }).where(eq(rootHistory.id, entry.id)));
  }
  demandDone(seen);
  return password;
}

/** Gives root a password nobody knows; 404 if it is not enabled. */
export async function disableRoot(instanceId: string, reach: Reach): Promise<void> {
  const on = await subject(instanceId);
  const verifier = await scramVerifier(generatePassword());
  const job = await submit(on, "disable_root", reach, async ({ row }) => {
    if (!(await enabledOrAccepted(row.id, row.rootEnabled))) {
      throw notFound(`Root is not enabled on instance ${row.id}.`, { reason: "root.not_enabled" });
    }
    return { verifier };
  });
  await finish(job, reach);
}

/** Enabled, or accepted to be: every enabling is in the history until it is disabled or has failed. */
async function enabledOrAccepted(instanceId: string, present: boolean): Promise<boolean> {
  if (present) return true;
  const open = await inside()
    .select({ id: rootHistory.id })
    .from(rootHistory)
    .where(and(eq(rootHistory.instanceId, instanceId), isNull(rootHistory.disabledAt)))
    .limit(1);
  return open.length > 0;
}

/** Who enabled root last, and when; for admins. */
export async function lastRoot(instanceId: string): Promise<{ userId: string; enabledAt: Date } | undefined> {
  const [row] = await read((tx) =>
    tx
      .select({ userId: rootHistory.userId, enabledAt: rootHistory.enabledAt })
      .from(rootHistory)
      .where(eq(rootHistory.instanceId, instanceId))
      .orderBy(desc(rootHistory.enabledAt))
      .limit(1),
  );
  return row;
}
