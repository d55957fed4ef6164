import type { Clock } from "#core/clock";
import type { Engine, Machine } from "#core/engine/engine";
import { AppError } from "#core/error";
import { createPostgresql } from "#core/engine/postgresql/index";

const engines = { postgresql: createPostgresql } as const satisfies Record<string, (machine: Machine, version: string, clock?: Clock) => Engine>;

/** The engine of a datastore manager (`postgresql`), on this machine. AppError `notImplemented` for one that is not built in. */
export function createEngine(manager: string, machine: Machine, version: string, clock?: Clock): Engine {
  if (!isKnown(manager)) throw new AppError("notImplemented", `There is no engine for datastores of ${JSON.stringify(manager)}.`, { reason: "engine.unknown", final: true });
  return engines[manager](machine, version, clock);
}

const isKnown = (manager: string): manager is keyof typeof engines => Object.hasOwn(engines, manager);
