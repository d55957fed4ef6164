import { expected } from "#core/guest/client";
import { pending, report, type Caller } from "#core/guest/server";
import { PROTOCOL, type JobKind, type Report } from "#core/guest/protocol";

/**
 * A guest that does every job at once and reports, through the very functions the guest endpoint
 * calls. `fail` names kinds of jobs that it cannot do.
 */
export async function act(caller: Caller, { fail = new Set(), ...seen }: { fail?: Set<JobKind> } & Partial<Report> = {}) {
  const jobs = await pending(caller);
  const results = jobs.map(({ id, kind }) => (fail.has(kind) ? { id, ok: false, error: `the guest cannot ${kind}` } : { id, ok: true }));
  const inventory = await expected(caller.instanceId);
  await report(caller, { serviceStatus: "healthy", agentVersion: "test", inventory, ...seen }, results, PROTOCOL);
  return jobs.map(({ kind }) => kind);
}
