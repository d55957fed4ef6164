import { badRequest, describe, type AppError } from "#core/error";
import type { Engine } from "#core/engine/engine";
import type { JsonFile } from "#core/guest/agent/file";
import type { Kept } from "#core/guest/agent/machine";
import { log } from "#core/log";

interface Place {
  engine: Engine;
  settings: JsonFile<Kept | null>;
}

const same = (a: Kept["overrides"] = {}, b: Kept["overrides"] = {}) => {
  const text = (one: object) => JSON.stringify(Object.entries(one).sort(([x], [y]) => (x < y ? -1 : 1)));
  return text(a) === text(b);
};

/**
 * Brings the server up with these settings and keeps them. What a configuration group sets is on trial
 * until the server has come up with it once: if it does not, the server comes up with what it had
 * before, that is kept instead, and the answer is the AppError that tells. Throws when it does not come up at all.
 */
export async function rise({ engine, settings }: Place, how: "start" | "restart", given: Kept): Promise<AppError | undefined> {
  const wanted = { ...given };
  delete wanted.stopped;
  await settings.update(wanted);
  if (same(wanted.overrides, wanted.proven)) {
    await engine[how](wanted);
    return undefined;
  }
  try {
    // A server that runs already proves nothing of what waits for its next start.
    const adopted = how === "start" && ["healthy", "running"].includes(await engine.health());
    if (!adopted) await engine.check(wanted);
    await engine[how](wanted);
    if (!adopted) await settings.update({ ...wanted, proven: wanted.overrides ?? {} });
    return undefined;
  } catch (error) {
    log.error("the engine does not come up with its configuration group; it goes back to what it had", { error: describe(error) });
    const before = { ...wanted, overrides: wanted.proven ?? {} };
    await settings.update(before);
    await engine[how](before);
    return badRequest(`The database server does not start with the values of its configuration group: ${describe(error)}`, {
      reason: "configuration.start",
      next: "It runs with the values it had before. Correct the group, or detach it.",
      cause: error,
    });
  }
}
