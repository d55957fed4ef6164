import { expected, reportedLogs } from "#core/guest/client";
import { pending, report, type Guest } from "#core/guest/server";
import { factsOf } from "#core/parameter/index";
import { jobs, PROTOCOL, type GuestLog, type JobKind, type Report } from "#core/guest/protocol";

/**
 * A guest that does every job at once and reports, through the very functions the guest endpoint
 * calls. `fail` names kinds of jobs that it cannot do.
 */
export async function act(caller: Guest, { fail = new Set(), ...seen }: { fail?: Set<JobKind> } & Partial<Report> = {}) {
  const waits = await pending(caller);
  let logs: GuestLog[] = seen.logs ?? (await reportedLogs(caller.instanceId)) ?? [
    { name: "general", type: "USER", enabled: false, published: 0, pending: 0, rotated: false },
    { name: "guest", type: "SYS", enabled: true, published: 0, pending: 70, rotated: false },
  ];
  const results = waits.map(({ id, kind, spec }) => {
    if (fail.has(kind)) return { id, ok: false, error: `the guest cannot ${kind}` };
    if (kind === "log") logs = logs.map((log) => operated(log, spec));
    const log = kind === "log" && logs.find(({ name }) => name === spec.name);
    return { id, ok: true, ...(kind === "apply_configuration" && { result: waiting(spec) }), ...(log && { result: { log } }) };
  });
  const inventory = await expected(caller.instanceId);
  await report(caller, { report: { serviceStatus: "healthy", agentVersion: "test", inventory, ...seen, logs }, results, protocol: PROTOCOL });
  return waits.map(({ kind }) => kind);
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
