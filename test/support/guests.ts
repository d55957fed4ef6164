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
  const results = waits.map(({ id, kind, spec }) => (fail.has(kind) ? { id, ok: false, error: `the guest cannot ${kind}` } : { id, ok: true, ...(kind === "apply_configuration" && { result: waiting(spec) }) }));
  const inventory = await expected(caller.instanceId);
  await report(caller, { report: { serviceStatus: "healthy", agentVersion: "test", inventory, ...seen }, results, protocol: PROTOCOL });
  return waits.map(({ kind }) => kind);
}

/** As a server would say that runs with none of these values yet. */
function waiting(spec: Record<string, unknown>) {
  const asked = Object.keys(jobs.apply_configuration.parse(spec).overrides);
  return { restartRequired: factsOf("postgresql", "17").filter(({ name, restart }) => restart && asked.includes(name)).map(({ name }) => name) };
}
