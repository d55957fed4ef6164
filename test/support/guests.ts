import { expected } from "#core/guest/client";
import { pending, report, type Guest } from "#core/guest/server";
import { factsOf } from "#core/parameter/index";
import { jobs, PROTOCOL, type JobKind, type Report } from "#core/guest/protocol";

/**
 * A guest that does every job at once and reports, through the very functions the guest endpoint
 * calls. `fail` names kinds of jobs that it cannot do.
 */
export async function act(caller: Guest, { fail = new Set(), ...seen }: { fail?: Set<JobKind> } & Partial<Report> = {}) {
  const waits = await pending(caller);
  const results = waits.map(({ id, kind, spec }) => (fail.has(kind) ? { id, ok: false, error: `the guest cannot ${kind}` } : { id, ok: true, ...resultOf(kind, spec) }));
  const stopped = waits.at(-1)?.kind === "stop" && !fail.has("stop");
  const inventory = await expected(caller.instanceId);
  await report(caller, { report: { serviceStatus: stopped ? "shutdown" : "healthy", agentVersion: "test", inventory, ...seen }, results, protocol: PROTOCOL });
  return waits.map(({ kind }) => kind);
}

const diagnostics = { version: "test", threads: 11, fdSize: 64, vmSize: 1_200_000, vmPeak: 1_300_000, vmRss: 60_000, vmHwm: 70_000 };

function resultOf(kind: JobKind, spec: Record<string, unknown>) {
  if (kind === "apply_configuration") return { result: waiting(spec) };
  if (kind === "diagnostics") return { result: diagnostics };
  if (kind === "hwinfo") return { result: { memTotal: 2_000_000, cpus: 2 } };
  return {};
}

/** As a server would say that runs with none of these values yet. */
function waiting(spec: Record<string, unknown>) {
  const asked = Object.keys(jobs.apply_configuration.parse(spec).overrides);
  return { restartRequired: factsOf("postgresql", "17").filter(({ name, restart }) => restart && asked.includes(name)).map(({ name }) => name) };
}
