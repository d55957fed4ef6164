import { now } from "#core/context";
import type { Outcome } from "#core/operation/operation.sql";
import type { Context } from "#core/workflow/context";
import type { Patch } from "#core/workflow/define";

/** What a reader of the instance is told: which step, why, what next. */
export function fault(c: Context, outcome: Outcome): Patch {
  const { kind, failure, requestId } = c.operation;
  const said = failure ?? { code: "cancelled", label: c.operation.label, message: "It was cancelled.", next: undefined };
  const parts = [
    `${kind.replace("_", " ")} ${outcome === "cancelled" ? "was cancelled" : "failed"} at step '${said.label}' (${said.code}): ${said.message}`,
    ...(said.next ? [said.next] : []),
    ...(kind === "create" ? ["Resources and quota are kept until you delete the instance."] : []),
  ];
  return {
    faultMessage: parts.join(" "),
    faultDetails: `operation ${c.operation.id} run ${c.operation.run}, request ${requestId ?? "unknown"}, attempt ${c.operation.attempt}`,
    faultAt: now(),
  };
}
