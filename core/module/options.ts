import { user } from "#core/context";
import { AppError, badRequest } from "#core/error";

/** What only administrators may give a module, or take from one (contract §5.7). */
export interface Options {
  shared: boolean;
  autoApply: boolean;
  visible: boolean;
  priorityApply: boolean;
}

export const forbiddenModule = (action: string, why: string) =>
  new AppError("forbidden", `Only an administrator may ${action} this module (${why}).`, { reason: "module.admin" });

/**
 * Throws 403 when a member asks for an option of administrators, 400 for full access beside another one. Returns
 * whether any of them is in force.
 */
export function checkOptions(action: string, { shared, autoApply, visible, priorityApply }: Options, fullAccess: boolean | undefined): boolean {
  const given = [...(shared ? ["all_tenants"] : []), ...(autoApply ? ["auto_apply"] : []), ...(visible ? [] : ["visible=0"]), ...(priorityApply ? ["priority_apply"] : [])];
  if (fullAccess && given.length > 0) {
    throw badRequest(`full_access cannot be combined with ${given.join(", ")}.`, { reason: "module.full_access" });
  }
  if (fullAccess !== undefined) given.push("full_access");
  if (given.length > 0 && !user().isAdmin) throw forbiddenModule(action, given.join(", "));
  return given.length > 0;
}
