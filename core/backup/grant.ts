import { and, eq, isNull, sql } from "drizzle-orm";
import { backup, walArchive } from "#core/backup/backup.sql";
import { dataKeyOf } from "#core/backup/keys";
import { walPlace } from "#core/backup/place";
import { now } from "#core/context";
import { read, transaction } from "#core/db/index";
import { AppError } from "#core/error";
import { sealingKeyOf } from "#core/guest/client";
import { bearer } from "#core/guest/grant";
import { guestJob } from "#core/guest/guest.sql";
import { jobs, keyBound, OBJECT_BYTES, type GrantReply, type GrantRequest, type Place } from "#core/guest/protocol";
import { seal as sealFor } from "#core/guest/seal";
import type { Guest } from "#core/guest/server";
import { instance } from "#core/instance/instance.sql";
import type { Seal } from "#core/seal";

export interface Granting {
  /** Signs grants; whoever serves the objects has it too. */
  grantKey: Buffer;
  installation: string;
  /** Under which the guest finds objects, `https://host/guest/v1/objects`. */
  url: string;
  /** Opens the wrapped keys. */
  seal: Seal;
}

/** How long a grant is good. Agents renew early, and go on for so long while the control plane is away. */
const GRANT_MS = 4 * 3600_000;

type Methods = GrantReply["places"][number]["methods"];
interface Given {
  backupId: string;
  /** Whose data key it is: the backup's, or that of the instance whose WAL it is. */
  keyId: string;
  place: Place;
  methods: Methods;
}

const readOnly: Methods = ["GET", "HEAD"];

/**
 * Which objects a guest may read and write, and with which keys: those of a job that is queued for it, its own WAL's, and no others. Who it is
 * comes from its credential. AppError `conflict` for any other job.
 */
export async function grant(caller: Guest, request: GrantRequest, granting: Granting): Promise<GrantReply> {
  const given = "jobId" in request ? await asked(caller, request.jobId) : [archiveOf(caller)];
  const recipient = await sealingKeyOf(caller.instanceId);
  if (recipient === undefined) throw new AppError("conflict", "The guest has not told the key that secrets are sealed for.", { reason: "grant.key" });
  const until = new Date(now().getTime() + GRANT_MS);
  const places: GrantReply["places"] = [];
  for (const { backupId, keyId, place, methods } of given) {
    const writes = methods.includes("PUT");
    if (writes) await (backupId === "wal" ? noteArchive(caller, until) : noteGranted(backupId, until));
    const key = await dataKeyOf({ id: keyId, projectId: place.projectId }, granting.seal, { make: writes });
    places.push({
      backupId,
      place,
      url: addressOf(granting.url, place),
      headers: { authorization: bearer(granting.grantKey, { place, methods, mostBytes: OBJECT_BYTES, until: until.getTime() }) },
      methods,
      expiresAt: until.toISOString(),
      key: sealFor(recipient, keyBound(caller.instanceId, caller.generation, place), key.toString("hex")),
    });
  }
  return { installation: granting.installation, places };
}

const addressOf = (root: string, { projectId, container, prefix }: Place) => [root, projectId, container, ...prefix.split("/")].map((part, at) => (at === 0 ? part : encodeURIComponent(part))).join("/");

/** The places of a job's spec, which the control plane wrote. */
async function asked({ instanceId, generation }: Guest, jobId: string): Promise<Given[]> {
  const [job] = await read((tx) =>
    tx
      .select({ kind: guestJob.kind, spec: guestJob.spec })
      .from(guestJob)
      .where(and(eq(guestJob.id, jobId), eq(guestJob.instanceId, instanceId), eq(guestJob.generation, generation), eq(guestJob.state, "queued"))),
  );
  if (job?.kind === "backup") {
    const { backupId, place, parent } = jobs.backup.parse(job.spec);
    const own: Given = { backupId, keyId: backupId, place, methods: [...readOnly, "PUT"] };
    return parent ? [own, readable(parent.backupId, (await rowOf(parent.backupId)).place)] : [own];
  }
  const restore = job?.kind === "prepare" ? jobs.prepare.parse(job.spec).restore : undefined;
  if (!restore) throw new AppError("conflict", "No job of this guest's asks for objects.", { reason: "grant.job" });
  const chain = restore.chain.map(({ backupId, place }) => readable(backupId, place));
  const last = restore.chain.at(-1);
  return restore.until && last ? [...chain, { ...archiveOf(await rowOf(last.backupId)), methods: readOnly }] : chain;
}

const readable = (backupId: string, place: Place): Given => ({ backupId, keyId: backupId, place, methods: readOnly });

/** Where the WAL of an instance is archived. */
const archiveOf = ({ instanceId, projectId }: Pick<Guest, "instanceId" | "projectId">): Given => ({
  backupId: "wal",
  keyId: instanceId,
  place: walPlace({ instanceId, projectId }),
  methods: [...readOnly, "PUT"],
});

/** A backup, and whose WAL leads on from it. */
async function rowOf(id: string): Promise<{ place: Place; instanceId: string; projectId: string }> {
  const [row] = await read((tx) =>
    tx
      .select({ place: { projectId: backup.projectId, container: backup.container, prefix: backup.prefix }, instanceId: backup.instanceId, projectId: instance.projectId })
      .from(backup)
      .innerJoin(instance, eq(instance.id, backup.instanceId))
      .where(and(eq(backup.id, id), isNull(backup.deletedAt))),
  );
  if (!row?.instanceId) throw new AppError("conflict", `Backup ${id} is gone.`, { reason: "backup.gone", final: true });
  return { ...row, instanceId: row.instanceId };
}

/** Likewise for an archive, which begins with its first grant. */
async function noteArchive({ instanceId, projectId }: Guest, until: Date): Promise<void> {
  const set = { grantedUntil: until };
  await transaction((tx) => tx.insert(walArchive).values({ instanceId, projectId, pruneAt: now(), ...set }).onConflictDoUpdate({ target: walArchive.instanceId, set }));
}

/** Written down before the grant is given: until then objects may come, and must be looked for again when the backup goes. */
async function noteGranted(backupId: string, until: Date): Promise<void> {
  const [row] = await transaction((tx) =>
    tx
      .update(backup)
      .set({ grantedUntil: sql`greatest(${backup.grantedUntil}, ${until.toISOString()}::timestamptz)` })
      .where(and(eq(backup.id, backupId), isNull(backup.deletedAt)))
      .returning({ id: backup.id }),
  );
  if (!row) throw new AppError("conflict", `Backup ${backupId} is gone.`, { reason: "backup.gone", final: true });
}
