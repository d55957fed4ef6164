/** TLS of instances: what can be done to it (contract §5.6). */
import { X509Certificate } from "node:crypto";
import { newId, now } from "#core/context";
import { inside, transaction } from "#core/db/index";
import { AppError, badRequest, describe } from "#core/error";
import { enqueue, reported, sealingKeyOf } from "#core/guest/client";
import { tlsBound, type JobSpec, type TlsMode } from "#core/guest/protocol";
import { loaded } from "#core/instance/change";
import { obstacle } from "#core/instance/gate";
import { instance } from "#core/instance/instance.sql";
import { idOf, named, unknown, type Instance } from "#core/instance/row";
import { finish, type Reach } from "#core/instance/work";
import { log } from "#core/log";
import { seal } from "#core/guest/seal";
import type { Consumer, SecretStore } from "#core/secret/store";
import { bundleOf } from "#core/ssl/bundle";

/** How secrets are read for the one who asks. */
export interface Caller {
  /** Absent where no key manager is told of. */
  secrets?: SecretStore;
  token: string;
  reach: Reach;
}

export type GivenMode = Exclude<TlsMode, "builtin">;

export interface Wish {
  mode: GivenMode;
  containerRef: string;
  passwordRef?: string;
}

export interface Certificate {
  cn: string;
  expiresAt: Date;
  san: string[];
  payload: string;
}

/** What is in force; the certificate as the guest last reported it, undefined before its first report of one. */
export async function show(wanted: string): Promise<{ mode: TlsMode; certificate: Certificate | undefined }> {
  const row = await loaded(wanted);
  const { certificate } = await reported(row.id);
  return { mode: row.sslMode, certificate: certificate === undefined ? undefined : factsOf(certificate) };
}

function factsOf(pem: string): Certificate {
  const read = new X509Certificate(pem);
  const [, cn = ""] = /^CN=(.*)$/m.exec(read.subject) ?? [];
  return { cn, expiresAt: new Date(read.validTo), san: (read.subjectAltName ?? "").split(", ").filter(Boolean).map((name) => name.replace(/^(DNS|IP Address|email|URI):/, "")), payload: pem };
}

/** Gives an instance the certificate of a PKCS#12; in force when this resolves. */
export async function enable(wanted: string, { mode, containerRef, passwordRef }: Wish, caller: Caller): Promise<void> {
  const row = await actionable(wanted);
  const secrets = storeOf(caller);
  const [container, password] = await Promise.all([secrets.fetch(containerRef, caller.token), passwordRef === undefined ? undefined : secrets.fetch(passwordRef, caller.token)]);
  // What was stored from a terminal ends with its line.
  const bundle = await bundleOf(container, password?.toString("utf8").replace(/\r?\n$/, "") ?? "", now(), { demandCa: mode === "mtls" });
  const key = await sealingKeyOf(row.id);
  if (key === undefined) throw new AppError("notImplemented", `The guest of instance ${row.id} takes no certificates.`, { reason: "ssl.agent", next: "Its agent is of an older version; upgrade it." });
  const source = { mode, containerRef, ...(passwordRef !== undefined && { passwordRef }) };
  const change = { to: "given" as const, given: { ...source, sealed: seal(key, tlsBound(row.id, row.generation, mode), JSON.stringify(bundle)) } };
  // Before it is used, so that nobody takes a secret in use for one that is not.
  const refs = refsOf(source);
  for (const ref of refs) await secrets.register(ref, caller.token, consumerOf(row.id));
  try {
    await send(row, change, caller.reach);
  } catch (error) {
    // One that did not answer in time may still do it.
    if (!(error instanceof AppError) || error.reason !== "guest.timeout") await unregister(row.id, refs.filter((ref) => !refsOfRow(row).includes(ref)), caller);
    throw error;
  }
  await unregister(row.id, refsOfRow(row).filter((ref) => !refs.includes(ref)), caller);
}

/** Back to the installation's certificate, which is offered to everybody. */
export async function disable(wanted: string, caller: Caller): Promise<void> {
  const row = await actionable(wanted);
  await send(row, { to: "builtin" }, caller.reach);
  await unregister(row.id, refsOfRow(row), caller);
}

/** Back to what was in force before the last change, as the guest has it. Returns the mode that is in force then. */
export async function rollback(wanted: string, caller: Caller): Promise<TlsMode> {
  const row = await actionable(wanted);
  await send(row, { to: "previous" }, caller.reach);
  const after = await loaded(row.id);
  const refs = refsOfRow(after);
  for (const ref of refs) await caller.secrets?.register(ref, caller.token, consumerOf(row.id)).catch((error: unknown) => untold(row.id, error));
  await unregister(row.id, refsOfRow(row).filter((ref) => !refs.includes(ref)), caller);
  return after.sslMode;
}

/** Puts in force again what is. */
export async function reapply(wanted: string, { reach }: Pick<Caller, "reach">): Promise<void> {
  await send(await actionable(wanted), { to: "same" }, reach);
}

/** The secrets of an instance that was deleted are in use no more. */
export async function forget(row: Pick<Instance, "id" | "sslContainerRef" | "sslPasswordRef">, caller: Pick<Caller, "secrets" | "token">): Promise<void> {
  await unregister(row.id, refsOfRow(row), caller);
}

/** Gate A of contract §3.4, before anything is fetched; `send` asks again. */
async function actionable(wanted: string): Promise<Instance> {
  const row = await loaded(wanted);
  const why = obstacle(row);
  if (why) throw why;
  return row;
}

async function send({ id: wanted }: Instance, change: JobSpec<"tls">["change"], reach: Reach): Promise<void> {
  const id = idOf(wanted);
  const job = await transaction(async () => {
    const [row] = await inside().select().from(instance).where(named(id)).for("no key update");
    if (!row) throw unknown(id);
    const why = obstacle(row);
    if (why) throw why;
    return enqueue({ instanceId: id, projectId: row.projectId, generation: row.generation, kind: "tls", spec: { id: newId(), change } });
  });
  await reach.doorbell.ring(id);
  await finish(job, reach);
}

function storeOf({ secrets }: Caller): SecretStore {
  if (secrets) return secrets;
  throw badRequest("This installation knows no key manager, so that no certificate can be fetched by container_ref.", { reason: "secret.absent", next: "The built-in certificate is in force; ask the operator for a key manager." });
}

const consumerOf = (instanceId: string): Consumer => ({ service: "database", resource_type: "instance", resource_id: instanceId });
const refsOf = ({ containerRef, passwordRef }: Pick<Wish, "containerRef" | "passwordRef">) => [containerRef, ...(passwordRef === undefined ? [] : [passwordRef])];
const refsOfRow = ({ sslContainerRef, sslPasswordRef }: Pick<Instance, "sslContainerRef" | "sslPasswordRef">) => [sslContainerRef, sslPasswordRef].filter((ref) => ref !== null);

/** The work is done: a note that stays says too much, and fails nothing. */
async function unregister(instanceId: string, refs: string[], { secrets, token }: Pick<Caller, "secrets" | "token">): Promise<void> {
  for (const ref of refs) await secrets?.unregister(ref, token, consumerOf(instanceId)).catch((error: unknown) => untold(instanceId, error));
}

const untold = (instance: string, error: unknown) => log.warn("the key manager was not told which secrets are in use", { instance, error: describe(error) });
