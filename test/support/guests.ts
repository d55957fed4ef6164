import { expected } from "#core/guest/client";
import { pending, report, type Guest } from "#core/guest/server";
import { factsOf } from "#core/parameter/index";
import { applyModules } from "#core/guest/agent/modules";
import { jobs, PROTOCOL, type JobKind, type Report } from "#core/guest/protocol";
import { testSeal } from "#test/support/seal";

/**
 * A guest that does every job at once and reports, through the very functions the guest endpoint
 * calls. `fail` names kinds of jobs that it cannot do.
 */
export async function act(caller: Guest, { fail = new Set(), ...seen }: { fail?: Set<JobKind> } & Partial<Report> = {}) {
  const waits = await pending(caller, testSeal);
  const results = [];
  for (const { id, kind, spec } of waits) {
    const result = kind === "apply_configuration" ? waiting(spec) : await modulesOf(spec);
    results.push(fail.has(kind) ? { id, ok: false, error: `the guest cannot ${kind}` } : { id, ok: true, ...(result && { result }) });
  }
  const inventory = await expected(caller.instanceId);
  await report(caller, { report: { serviceStatus: "healthy", agentVersion: "test", inventory, ...seen }, results, protocol: PROTOCOL });
  return waits.map(({ kind }) => kind);
}

/** What the agent itself makes of modules, over an engine that takes all. */
async function modulesOf(spec: Record<string, unknown>) {
  const { data } = jobs.apply_modules.safeParse(spec);
  return data && applyModules({ applyModule: ({ contents }) => Promise.resolve(`applied ${contents}`) }, data.modules, () => true);
}

/** As a server would say that runs with none of these values yet. */
function waiting(spec: Record<string, unknown>) {
  const asked = Object.keys(jobs.apply_configuration.parse(spec).overrides);
  return { restartRequired: factsOf("postgresql", "17").filter(({ name, restart }) => restart && asked.includes(name)).map(({ name }) => name) };
}
