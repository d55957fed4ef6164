import { and, asc, eq, isNull, lt, or, sql } from "drizzle-orm";
import { createHash, createPublicKey, timingSafeEqual, verify, X509Certificate, type KeyObject } from "node:crypto";
import { walArchive } from "#core/backup/backup.sql";
import { now } from "#core/context";
import { read, transaction } from "#core/db/index";
import { AppError } from "#core/error";
import { tellEnd, tellError } from "#core/event/index";
import { settleConfiguration } from "#core/guest/configuration";
import { isDue } from "#core/guest/due";
import { settleTls } from "#core/guest/tls";
import { guest, guestJob } from "#core/guest/guest.sql";
import { handOver, settleModules } from "#core/guest/modules";
import {
  headers,
  oldestProtocol,
  PROTOCOL,
  questions,
  signedText,
  type EnrolRequest,
  type JobResult,
  type Report,
  type SyncReply,
} from "#core/guest/protocol";
import { instance, rootHistory } from "#core/instance/instance.sql";
import type { Seal } from "#core/seal";

/** At most this many jobs travel in one reply. */
const JOBS_PER_REPLY = 20;
/** And, beyond the first one, no more contents of modules than this: a function's reply may have 6 MB. */
const REPLY_BYTES = 1024 * 1024;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const refused = (message: string, reason: string) => new AppError("unauthorized", message, { reason });

function speaks(protocol: number) {
  const oldest = oldestProtocol(PROTOCOL);
  if (protocol < oldest || protocol > PROTOCOL) {
    throw new AppError("badRequest", `protocol: ${protocol} is not spoken here; ${oldest} to ${PROTOCOL} are.`, { reason: "guest.protocol" });
  }
}

/** A public key from base64 SPKI DER; anything else is refused in the name of its field. */
function publicKeyOf(field: string, text: string): { der: Buffer; key: KeyObject } {
  const der = Buffer.from(text, "base64");
  try {
    return { der, key: createPublicKey({ key: der, format: "der", type: "spki" }) };
  } catch (cause) {
    throw new AppError("badRequest", `${field}: is no SPKI key.`, { reason: "guest.key", cause });
  }
}

function signingKey(text: string): Buffer {
  const { der, key } = publicKeyOf("publicKey", text);
  if (key.asymmetricKeyType === "ed25519") return der;
  throw new AppError("badRequest", "publicKey: must be an Ed25519 key.", { reason: "guest.key" });
}

/** Looked at before anything is stored: a certificate can be issued for this kind only. */
function tlsKey(text: string) {
  const { key } = publicKeyOf("tlsPublicKey", text);
  if (key.asymmetricKeyDetails?.namedCurve === "prime256v1") return;
  throw new AppError("badRequest", "tlsPublicKey: must be a P-256 key.", { reason: "guest.key" });
}

/**
 * Takes the guest's key in exchange for its one-time token. The same token with the same key is
 * accepted again until the first authenticated sync, so that a lost reply locks nobody out.
 */
export async function enrol(request: EnrolRequest): Promise<{ instanceId: string; address: string }> {
  speaks(request.protocol);
  const publicKey = signingKey(request.publicKey);
  tlsKey(request.tlsPublicKey);
  const tokenHash = createHash("sha256").update(request.token).digest();
  return transaction(async (tx) => {
    const [row] = await tx.select().from(guest).where(eq(guest.instanceId, request.instanceId)).for("update");
    const known =
      row?.tokenHash?.length === tokenHash.length &&
      timingSafeEqual(row.tokenHash, tokenHash) &&
      row.generation === request.generation &&
      row.revokedAt === null;
    if (!row || !known) throw refused("The enrolment token is not valid.", "guest.token");
    if (row.tokenExpiresAt && row.tokenExpiresAt < now()) throw refused("The enrolment token has expired.", "guest.token_expired");
    if (row.publicKey && !row.publicKey.equals(publicKey)) throw refused("Another key has enrolled with this token.", "guest.token_used");
    await tx.update(guest).set({ publicKey, protocol: request.protocol }).where(eq(guest.instanceId, row.instanceId));
    const [found] = await tx.select({ address: instance.address }).from(instance).where(eq(instance.id, row.instanceId));
    if (!found?.address) throw new AppError("conflict", "The instance has no address yet.", { reason: "guest.early" });
    return { instanceId: row.instanceId, address: found.address };
  });
}

export interface Caller {
  instanceId: string;
  projectId: string;
  generation: number;
  /** Of the request that was signed. */
  sequence: number;
}

/**
 * Who signed this request. The instance comes from the credential alone; a sequence number that
 * is not above the last one seen is a replay.
 */
export async function authenticate(path: string, header: (name: string) => string | undefined, body: string | Uint8Array): Promise<Caller> {
  const instanceId = header(headers.instance) ?? "";
  const generation = Number(header(headers.generation));
  const sequence = Number(header(headers.sequence));
  const signature = Buffer.from(header(headers.signature) ?? "", "base64");
  if (!UUID.test(instanceId) || !Number.isSafeInteger(generation) || !Number.isSafeInteger(sequence)) {
    throw refused("The request is not signed.", "guest.unsigned");
  }
  const [row] = await read((tx) => tx.select().from(guest).where(eq(guest.instanceId, instanceId)));
  if (!row || row.revokedAt || row.generation !== generation) throw refused("This guest is not known, or was replaced.", "guest.revoked");
  const text = Buffer.from(signedText(path, instanceId, generation, sequence, body));
  const signed = (key: Buffer | null) =>
    key !== null && verify(null, text, createPublicKey({ key, format: "der", type: "spki" }), signature);
  const byNext = signed(row.nextPublicKey);
  if (!byNext && !signed(row.publicKey)) throw refused("The signature is not valid.", "guest.signature");
  // The first use of a key retires what came before it: the token, or the older key.
  const [kept] = await transaction((tx) =>
    tx
      .update(guest)
      .set({
        lastSequence: sequence,
        lastSeenAt: now(),
        tokenHash: null,
        ...(byNext && { publicKey: row.nextPublicKey, nextPublicKey: null }),
      })
      .where(
        and(
          eq(guest.instanceId, instanceId),
          eq(guest.generation, generation),
          isNull(guest.revokedAt),
          lt(guest.lastSequence, sequence),
        ),
      )
      .returning({ instanceId: guest.instanceId }),
  );
  if (!kept) throw refused("This request was seen before.", "guest.replay");
  return { instanceId, projectId: row.projectId, generation, sequence };
}

/** Stores the key that will follow; both count until it is first used. Repeating it changes nothing. */
export async function rotate(caller: Caller, publicKey: string) {
  const next = signingKey(publicKey);
  await transaction((tx) =>
    tx
      .update(guest)
      .set({ nextPublicKey: next })
      .where(and(eq(guest.instanceId, caller.instanceId), eq(guest.generation, caller.generation))),
  );
}

/** The name that a certificate for the engine's key is to carry: the instance's address, and nothing the guest could choose. */
export async function certified(caller: Caller, tlsPublicKey: string): Promise<string> {
  tlsKey(tlsPublicKey);
  const [found] = await read((tx) => tx.select({ address: instance.address }).from(instance).where(and(eq(instance.id, caller.instanceId), isNull(instance.deletedAt))));
  if (!found?.address) throw refused("The instance is gone.", "guest.revoked");
  return found.address;
}

/** Who speaks for an instance. */
export type Guest = Omit<Caller, "sequence">;

export interface Told {
  report: Report;
  results: JobResult[];
  protocol: number;
  /** For how long the guest may say nothing more, as the reply tells it. */
  silenceSeconds?: number;
}

/** Stores what the guest says of itself. Returns true when a waiting workflow may want to look. */
export async function report(caller: Guest, { report: seen, results, protocol, silenceSeconds = 0 }: Told): Promise<boolean> {
  speaks(protocol);
  const at = now();
  return transaction(async (tx) => {
    const [row] = await tx
      .update(instance)
      .set({
        // A stored "restart required" ends by a restart, not by the next heartbeat (contract §3.2).
        serviceStatus: sql`case when ${instance.serviceStatus} = 'restart_required' then ${instance.serviceStatus} else ${seen.serviceStatus} end`,
        serviceStatusAt: at,
        silenceSeconds,
        // Who reports is up, whatever the compute service was last seen to say.
        serverState: sql`case when ${instance.task} = 'NONE' and ${instance.serverState} in ('BUILD', 'SHUTDOWN') then 'ACTIVE' else ${instance.serverState} end`,
        ...(seen.volumeUsedBytes !== undefined && { volumeUsedBytes: Math.round(seen.volumeUsedBytes) }),
        readOnlySince: seen.writes === undefined || seen.writes === "open" ? null : sql`coalesce(${instance.readOnlySince}, ${at.toISOString()}::timestamptz)`,
        ...(seen.volumeTotalBytes !== undefined && { volumeTotalBytes: Math.round(seen.volumeTotalBytes) }),
      })
      .where(and(eq(instance.id, caller.instanceId), eq(instance.generation, caller.generation), isNull(instance.deletedAt)))
      .returning({ task: instance.task, createdBy: instance.createdBy });
    if (!row) throw refused("The instance is gone, or its server was replaced.", "guest.revoked");
    await tx
      .update(guest)
      .set({ agentVersion: seen.agentVersion, protocol, ...(seen.inventory && { inventory: seen.inventory, ...ends(seen.inventory.certificate) }), ...(seen.logs && { logs: seen.logs }), ...(seen.sealingKey !== undefined && { sealingKey: seen.sealingKey }), position: seen.replication ?? null, positionAt: seen.replication ? at : null })
      .where(eq(guest.instanceId, caller.instanceId));
    if (seen.archive) await tx.update(walArchive).set({ reach: seen.archive }).where(eq(walArchive.instanceId, caller.instanceId));
    if (seen.progress) await noteProgress(caller, seen.progress);
    for (const result of results) await settle(caller, result);
    return results.length > 0 || row.task !== "NONE";
  });
}

/** When a certificate ends; one with another end has not been told of. Nothing is known of what cannot be read. */
function ends(pem: string | undefined) {
  const at = pem === undefined ? null : endOf(pem);
  const same = sql`${guest.certificateEndsAt} is not distinct from ${at?.toISOString() ?? null}::timestamptz`;
  return { certificateEndsAt: at, certificateToldAt: sql`case when ${same} then ${guest.certificateToldAt} end` };
}

function endOf(pem: string): Date | null {
  try {
    return new Date(new X509Certificate(pem).validTo);
  } catch {
    return null;
  }
}

/** Keeps how far a job has come; only more than before is progress. */
async function noteProgress({ instanceId, generation }: Guest, { jobId, bytes }: NonNullable<Report["progress"]>) {
  const moved = Math.round(bytes);
  await transaction((tx) =>
    tx
      .update(guestJob)
      .set({ progressBytes: moved, progressAt: now() })
      .where(
        and(
          eq(guestJob.id, jobId),
          eq(guestJob.instanceId, instanceId),
          eq(guestJob.generation, generation),
          eq(guestJob.state, "queued"),
          or(isNull(guestJob.progressBytes), lt(guestJob.progressBytes, moved)),
        ),
      ),
  );
}

/** Stores a job's end once; told again it changes nothing. */
async function settle(caller: Guest, result: JobResult) {
  const at = now();
  await transaction(async (tx) => {
    // Read before it is emptied.
    const [asked] = await tx.select({ spec: guestJob.spec }).from(guestJob).where(and(eq(guestJob.id, result.id), eq(guestJob.instanceId, caller.instanceId)));
    const [job] = await tx
      .update(guestJob)
      .set({
        state: result.ok ? "done" : "failed",
        error: result.ok ? null : (result.error ?? "The guest gave no reason."),
        result: result.result ?? null,
        spec: null,
        finishedAt: at,
      })
      .where(and(eq(guestJob.id, result.id), eq(guestJob.instanceId, caller.instanceId), eq(guestJob.state, "queued")))
      .returning({ kind: guestJob.kind, error: guestJob.error, requestId: guestJob.requestId, notice: guestJob.notice });
    if (!job) return;
    if (job.notice) await (result.ok ? tellEnd(job.notice) : tellError(job.notice, { message: job.error ?? "", exception: "guest.failed" }));
    await settleConfiguration(caller, job.kind, result, asked?.spec ?? {});
    await settleModules(caller, job.kind, result, asked?.spec ?? {});
    await settleTls(caller, job.kind, result);
    if (result.ok && (job.kind === "enable_root" || job.kind === "disable_root")) {
      await tx.update(instance).set({ rootEnabled: job.kind === "enable_root" }).where(eq(instance.id, caller.instanceId));
      if (job.kind === "disable_root") {
        await tx
          .update(rootHistory)
          .set({ disabledAt: at })
          .where(and(eq(rootHistory.instanceId, caller.instanceId), isNull(rootHistory.disabledAt)));
      }
    }
    if (!result.ok && !questions.some((one) => one === job.kind)) {
      if (job.kind === "enable_root") {
        await tx
          .update(rootHistory)
          .set({ disabledAt: at })
          .where(and(eq(rootHistory.instanceId, caller.instanceId), isNull(rootHistory.disabledAt)));
      }
      // An accepted job that failed later has no other way to tell (contract §5.4).
      await tx
        .update(instance)
        .set({
          faultMessage: `${job.kind.replaceAll("_", " ")} failed (guest.failed): ${job.error}`,
          faultDetails: `job ${result.id}, request ${job.requestId ?? "unknown"}`,
          faultAt: at,
        })
        .where(eq(instance.id, caller.instanceId));
    }
  });
}

/** What waits for this guest, in order of acceptance; `seal` opens what it is given in confidence. */
export async function pending(caller: Guest, seal: Seal): Promise<SyncReply["jobs"]> {
  const rows = await read((tx) =>
    tx
      .select({ id: guestJob.id, kind: guestJob.kind, spec: guestJob.spec })
      .from(guestJob)
      .where(
        and(
          eq(guestJob.instanceId, caller.instanceId),
          eq(guestJob.generation, caller.generation),
          eq(guestJob.state, "queued"),
          isDue(),
        ),
      )
      .orderBy(asc(guestJob.seq))
      .limit(JOBS_PER_REPLY),
  );
  const jobs: SyncReply["jobs"] = [];
  let bytes = 0;
  for (const { id, kind, spec } of rows) {
    const given = await handOver(caller.instanceId, kind, spec ?? {}, seal);
    bytes += given === spec ? 0 : JSON.stringify(given).length;
    if (bytes > REPLY_BYTES && jobs.length > 0) break;
    jobs.push({ id, kind, spec: given });
  }
  return jobs;
}
