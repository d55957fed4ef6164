import { createHash, createPrivateKey, generateKeyPairSync } from "node:crypto";
import { now } from "#core/context";
import type { ObjectStore } from "#core/driver/objectstore";
import { expected, reportedLogs } from "#core/guest/client";
import { pending, report, type Guest } from "#core/guest/server";
import { factsOf } from "#core/parameter/index";
import { applyModules } from "#core/guest/agent/modules";
import { jobs, PROTOCOL, TlsResult, type BackupResult, type GivenTls, type GuestLog, type JobKind, type Position, type Report } from "#core/guest/protocol";
import { testSeal } from "#test/support/seal";

/**
 * A guest that does every job at once and reports, through the very functions the guest endpoint
 * calls. `fail` names kinds of jobs that it cannot do, `hold` those at which it stands still; an `idle` one does none, and only reports.
 */
export async function act(caller: Guest, { fail = new Set(), hold = new Set(), objects, idle = false, ...seen }: { fail?: Set<JobKind>; hold?: Set<JobKind>; objects?: ObjectStore; idle?: boolean } & Partial<Report> = {}) {
  const queue = idle ? [] : await pending(caller, testSeal);
  const stands = queue.findIndex(({ kind }) => hold.has(kind));
  const waits = stands < 0 ? queue : queue.slice(0, stands);
  let logs: GuestLog[] = seen.logs ?? (await reportedLogs(caller.instanceId)) ?? [
    { name: "general", type: "USER", enabled: false, published: 0, pending: 0, rotated: false },
    { name: "guest", type: "SYS", enabled: true, published: 0, pending: 70, rotated: false },
  ];
  const results = [];
  for (const { id, kind, spec } of waits) {
    if (fail.has(kind)) {
      results.push({ id, ok: false, error: `the guest cannot ${kind}` });
      continue;
    }
    if (kind === "log") logs = logs.map((log) => operated(log, spec));
    const log = kind === "log" && logs.find(({ name }) => name === spec.name);
    const result = log ? { log } : kind === "tls" ? certified(caller.instanceId, spec) : kind === "backup" ? await backedUp(spec, objects) : await resultOf(kind, spec);
    results.push({ id, ok: true, ...(result && { result }) });
  }
  const stopped = waits.at(-1)?.kind === "stop" && !fail.has("stop");
  const inventory = await expected(caller.instanceId);
  await report(caller, { report: { serviceStatus: stopped ? "shutdown" : "healthy", agentVersion: "test", inventory, sealingKey, ...seen, logs }, results, protocol: PROTOCOL });
  return waits.map(({ kind }) => kind);
}

const diagnostics = { version: "test", threads: 11, fdSize: 64, vmSize: 1_200_000, vmPeak: 1_300_000, vmRss: 60_000, vmHwm: 70_000 };

const stands = (role: Position["role"]): Position => ({ role, timeline: 1, received: "0/5000000", replayed: "0/5000000" });

async function resultOf(kind: JobKind, spec: Record<string, unknown>): Promise<Record<string, unknown> | undefined> {
  if (kind === "serve") return { superuser: Object.fromEntries(jobs.serve.parse(spec).followers.map(({ instanceId }) => [instanceId, "sealed"])) };
  if (kind === "promote") return stands("source");
  if (kind === "hold" || kind === "position") return stands("replica");
  if (kind === "apply_configuration") return waiting(spec);
  if (kind === "diagnostics") return diagnostics;
  if (kind === "hwinfo") return { memTotal: 2_000_000, cpus: 2 };
  return modulesOf(spec);
}

/** What the agent itself makes of modules, over an engine that takes all. */
async function modulesOf(spec: Record<string, unknown>) {
  const { data } = jobs.apply_modules.safeParse(spec);
  return data && applyModules({ applyModule: ({ contents }) => Promise.resolve(`applied ${contents}`) }, data.modules, () => true);
}

/** A manifest and a part, as far as the control plane looks at them. */
async function backedUp(spec: Record<string, unknown>, objects: ObjectStore | undefined): Promise<BackupResult> {
  const { backupId, place, parent } = jobs.backup.parse(spec);
  const manifest = Buffer.from(`manifest of ${backupId}`);
  const call = { signal: new AbortController().signal };
  for (const [name, content] of [["part-00000001", Buffer.alloc(1000, 1)], ["manifest", manifest]] as const) {
    await objects?.put({ projectId: place.projectId, name: place.container }, `${place.prefix}/${name}`, (async function* () { yield content; })(), {}, call);
  }
  const at = now().toISOString();
  return {
    bytes: 1000 + manifest.length,
    dataBytes: 32_000_000,
    checksum: createHash("sha256").update(manifest).digest("hex"),
    startLsn: "0/3000028",
    stopLsn: "0/3000158",
    timeline: 1,
    systemIdentifier: "7000000000000000001",
    startedAt: at,
    stoppedAt: at,
    parts: 1,
    incremental: parent !== undefined,
  };
}

/** A log after a job of its. */
function operated(log: GuestLog, raw: Record<string, unknown>): GuestLog {
  const { name, enable, discard, publish } = jobs.log.parse(raw);
  if (name !== log.name) return log;
  const { published, pending } = discard ? { published: 0, pending: log.pending + log.published } : log;
  const sent = publish ? pending : 0;
  return { ...log, enabled: log.type === "SYS" || (enable ?? log.enabled), published: published + sent, pending: pending - sent, rotated: log.rotated && !publish };
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
