import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { expected } from "#core/guest/client";
import { pending, report, type Guest } from "#core/guest/server";
import { factsOf } from "#core/parameter/index";
import { jobs, PROTOCOL, TlsResult, type GivenTls, type JobKind, type Report } from "#core/guest/protocol";

/**
 * A guest that does every job at once and reports, through the very functions the guest endpoint
 * calls. `fail` names kinds of jobs that it cannot do.
 */
export async function act(caller: Guest, { fail = new Set(), ...seen }: { fail?: Set<JobKind> } & Partial<Report> = {}) {
  const waits = await pending(caller);
  const results = waits.map(({ id, kind, spec }) => (fail.has(kind) ? { id, ok: false, error: `the guest cannot ${kind}` } : { id, ok: true, ...(kind === "apply_configuration" && { result: waiting(spec) }), ...(kind === "tls" && { result: certified(caller.instanceId, spec) }) }));
  const inventory = await expected(caller.instanceId);
  await report(caller, { report: { serviceStatus: "healthy", agentVersion: "test", inventory, sealingKey, ...seen }, results, protocol: PROTOCOL });
  return waits.map(({ kind }) => kind);
}

/** As a server would say that runs with none of these values yet. */
function waiting(spec: Record<string, unknown>) {
  const asked = Object.keys(jobs.apply_configuration.parse(spec).overrides);
  return { restartRequired: factsOf("postgresql", "17").filter(({ name, restart }) => restart && asked.includes(name)).map(({ name }) => name) };
}

const sealing = generateKeyPairSync("x25519", { publicKeyEncoding: { type: "spki", format: "der" }, privateKeyEncoding: { type: "pkcs8", format: "pem" } });
const sealingKey = sealing.publicKey.toString("base64");
/** Opens what was sealed for a simulated guest. */
export const guestKey = createPrivateKey(sealing.privateKey);

/** Per instance: what is in force, and what was before. */
const chosen = new Map<string, (GivenTls | null)[]>();

function certified(id: string, spec: Record<string, unknown>): TlsResult {
  const { change } = jobs.tls.parse(spec);
  const [present = null, previous = null] = chosen.get(id) ?? [];
  if (change.to !== "same") chosen.set(id, [change.to === "given" ? change.given : change.to === "builtin" ? null : previous, present]);
  const now = chosen.get(id)?.[0] ?? null;
  // Without what is sealed.
  return now === null ? { mode: "builtin" } : TlsResult.parse(now);
}
