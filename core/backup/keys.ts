import { randomBytes } from "node:crypto";
import { eq, lt } from "drizzle-orm";
import { dataKey, projectKey } from "#core/backup/backup.sql";
import { now } from "#core/context";
import { inside, read, transaction } from "#core/db/index";
import { AppError } from "#core/error";
import { createSeal, type Seal } from "#core/seal";

/*
 * Root key -> project key -> data key: what is stored of a backup opens with a data key of its own, which is wrapped by its
 * project's key, which is wrapped by the installation's seal. Every wrapping is bound to whom it belongs, so that a wrapped
 * key that was moved to another row does not open. To rotate a key is to wrap anew what it wraps; no object is touched.
 */

const KEY_BYTES = 32;
const ofProject = (projectId: string) => `project key\n${projectId}`;
const ofData = (id: string) => `data key\n${id}`;

/** The project's key, made if there is none, held until the end of the open transaction: a rotation waits. */
async function holdProjectKey(projectId: string, seal: Seal): Promise<Seal> {
  const find = () => inside().select().from(projectKey).where(eq(projectKey.projectId, projectId)).for("share");
  let [row] = await find();
  if (!row) {
    const wrapped = seal.close(randomBytes(KEY_BYTES), ofProject(projectId));
    await inside().insert(projectKey).values({ projectId, wrapped, madeAt: now() }).onConflictDoNothing();
    [row] = await find();
  }
  if (!row) throw new Error(`project ${projectId} has no key`);
  return createSeal(seal.open(row.wrapped, ofProject(projectId)));
}

export interface Kept {
  /** Of a backup, or of an instance for its WAL. */
  id: string;
  projectId: string;
}

/** The data key of what is stored; made when it is first asked for, if `make` says so. AppError `conflict` for one that is gone. */
export async function dataKeyOf({ id, projectId }: Kept, seal: Seal, { make }: { make: boolean }): Promise<Buffer> {
  return transaction(async (tx) => {
    // The project's key first, as a rotation does.
    const outer = await holdProjectKey(projectId, seal);
    if (make) await tx.insert(dataKey).values({ id, projectId, wrapped: outer.close(randomBytes(KEY_BYTES), ofData(id)) }).onConflictDoNothing();
    const [row] = await tx.select({ wrapped: dataKey.wrapped }).from(dataKey).where(eq(dataKey.id, id));
    if (!row) throw new AppError("conflict", `There is no key for what is stored of ${id}: nothing of it can be read.`, { reason: "backup.key", final: true });
    return outer.open(row.wrapped, ofData(id));
  });
}

/** What nothing is stored with any more can be read by nobody. In the open transaction. */
export const forgetKey = (id: string) => inside().delete(dataKey).where(eq(dataKey.id, id));

/** Gives a project another key and wraps its data keys with it. */
export async function rotateProjectKey(projectId: string, seal: Seal): Promise<void> {
  await transaction(async (tx) => {
    const [row] = await tx.select().from(projectKey).where(eq(projectKey.projectId, projectId)).for("update");
    if (!row) return;
    const before = createSeal(seal.open(row.wrapped, ofProject(projectId)));
    const key = randomBytes(KEY_BYTES);
    const after = createSeal(key);
    const held = await tx.select().from(dataKey).where(eq(dataKey.projectId, projectId)).orderBy(dataKey.id).for("update");
    for (const { id, wrapped } of held) {
      await tx.update(dataKey).set({ wrapped: after.close(before.open(wrapped, ofData(id)), ofData(id)) }).where(eq(dataKey.id, id));
    }
    await tx.update(projectKey).set({ wrapped: seal.close(key, ofProject(projectId)), madeAt: now() }).where(eq(projectKey.projectId, projectId));
  });
}

/** A project's key serves for a year (NIST SP 800-57 part 1, table 1: key-wrapping keys, at most two). */
const ROTATE_MS = 365 * 86_400_000;

/** Rotates the keys of a few projects that are due; answers how many. */
export async function rotateDue(seal: Seal, limit = 10): Promise<number> {
  const before = new Date(now().getTime() - ROTATE_MS);
  const due = await read((tx) => tx.select({ projectId: projectKey.projectId }).from(projectKey).where(lt(projectKey.madeAt, before)).limit(limit));
  for (const { projectId } of due) await rotateProjectKey(projectId, seal);
  return due.length;
}
