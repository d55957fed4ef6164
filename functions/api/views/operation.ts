import type { timeline } from "#core/operation/index";
import { stamp } from "#core/stamp";

type Entry = Awaited<ReturnType<typeof timeline>>[number];

const optional = (date: Date | null) => date && stamp(date);

/** An operation with its steps: our own resource, beside Trove's. */
export const operationView = (entry: Entry) => ({
  id: entry.id,
  kind: entry.kind,
  status: entry.outcome ?? "running",
  run: entry.run,
  label: entry.label,
  created: stamp(entry.createdAt),
  updated: stamp(entry.updatedAt),
  finished: optional(entry.finishedAt),
  error: entry.failure && {
    code: entry.failure.code,
    message: entry.failure.message,
    label: entry.failure.label,
    next: entry.failure.next ?? null,
  },
  request_id: entry.requestId,
  steps: entry.steps.map((step) => ({
    label: step.label,
    attempt: step.attempt,
    started: stamp(step.startedAt),
    finished: optional(step.finishedAt),
    polls: step.polls,
    outcome: step.outcome,
    error: step.error,
  })),
});
