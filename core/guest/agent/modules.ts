import type { Engine } from "#core/engine/engine";
import { AppError, badRequest } from "#core/error";
import type { Module, ModulesResult } from "#core/guest/protocol";

/**
 * Applies modules one after the other, in the order given, and says how each went. `settles` tells which errors are a
 * module's end; any other ends the job, which may be done again.
 */
export async function applyModules(engine: Pick<Engine, "applyModule">, modules: Module[], settles: (error: AppError) => boolean): Promise<ModulesResult> {
  const said: ModulesResult["modules"] = [];
  for (const module of modules) {
    try {
      said.push({ ...heading(module), status: "OK", message: (await applyOne(engine, module)).slice(0, LONGEST) });
    } catch (error) {
      if (!(error instanceof AppError) || !settles(error)) throw error;
      said.push({ ...heading(module), status: "ERROR", message: [error.message, error.next].filter(Boolean).join(" ").slice(0, LONGEST) });
    }
  }
  return { modules: said };
}

/** Of a message. */
const LONGEST = 2000;

const heading = ({ id, work }: Module) => ({ id, md5: work?.md5 ?? "" });

async function applyOne(engine: Pick<Engine, "applyModule">, { id, work }: Module): Promise<string> {
  if (!work || work.contents === null) throw badRequest("The contents of the module cannot be read by the control plane.", { reason: "module.sealed" });
  const contents = Buffer.from(work.contents, "base64").toString("utf8");
  return work.type === "ping" ? ping(contents) : engine.applyModule({ id, type: work.type, contents });
}

/** Trove's own example: does nothing but answer the `message=` of its contents. */
function ping(contents: string): string {
  const found = /^\s*message\s*=(.*)$/im.exec(contents);
  if (!found) throw badRequest("Message not found in contents file", { reason: "module.contents" });
  return (found[1] ?? "").trim();
}

export const removeModule = (engine: Engine, { id, type }: { id: string; type: string }): Promise<void> =>
  type === "ping" ? Promise.resolve() : engine.removeModule({ id, type });
