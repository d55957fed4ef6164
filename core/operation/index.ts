import { and, asc, eq, isNull, sql } from "drizzle-orm";
import { ambient, newId, now } from "#core/context";
import { inside, read } from "#core/db/index";
import { given, statement } from "#core/db/statement";
import { emit } from "#core/db/outbox";
import { unprocessable } from "#core/error";
import { noticeOf, tellStart } from "#core/event/index";
import type { Traits } from "#core/event/event.sql";
import { operation, operationStep, type Input } from "#core/operation/operation.sql";

export type Operation = typeof operation.$inferSelect;

/** Each has a workflow of the same name. */
export type Kind = "create" | "destroy" | "restart" | "resize_flavor" | "resize_volume" | "update_access" | "reboot" | "migrate" | "rebuild" | "upgrade" | "backup" | "create_replica" | "detach_replica" | "promote_replica" | "eject_source";

/** How long a whole run may take before it fails with a cause (contract §7.1 `usage_timeout`, `resize_time_out` ...). */
const minutes: Record<Kind, number> = {
  create: 30,
  destroy: 30,
  restart: 10,
  resize_flavor: 25,
  resize_volume: 15,
  update_access: 5,
  reboot: 10,
  migrate: 25,
  rebuild: 30,
  upgrade: 30,
  // What the guest moves extends it.
  backup: 60,
  // `restore_usage_timeout`: the data of the source has to come over.
  create_replica: 60,
  detach_replica: 10,
  promote_replica: 30,
  eject_source: 30,
};

/** What its events are called (contract §8.6); null = it has none. */
const events: Record<Kind, string | null> = {
  create: "instance_create",
  destroy: "instance_delete",
  restart: "instance_restart",
  resize_flavor: "instance_resize_instance",
  resize_volume: "instance_resize_volume",
  update_access: null,
  reboot: "instance_reboot",
  migrate: "migrate",
  rebuild: null,
  upgrade: "upgrade",
  backup: "backup_create",
  create_replica: "instance_create",
  detach_replica: "instance_detach",
  promote_replica: "instance_promote",
  eject_source: "instance_eject",
};

const traitsOf = ({ flavorId, volumeGb, host }: Input): Traits => ({
  ...(flavorId !== undefined && { new_flavor_id: flavorId }),
  ...(volumeGb !== undefined && { new_size: volumeGb }),
  ...(host !== undefined && { host }),
});

export const kinds = Object.keys(minutes) as Kind[];

/** The label every workflow starts with. */
export const START = "start";

export interface Begin {
  instanceId: string;
  projectId: string;
  kind: Kind;
  input?: Input;
  /** What the event of its beginning says beside the input. */
  traits?: Traits;
  /** What its events name beside the instance. */
  subject?: Traits;
  /** How long the run may take, where that is not what the kind says. */
  minutes?: number;
}

/**
 * Records the wish and the message that carries it, in the open transaction. Operations are
 * exclusive per instance by a partial unique index: a second one is refused (422).
 */
export async function begin({ instanceId, projectId, kind, input = {}, traits, subject, minutes: allowed = minutes[kind] }: Begin): Promise<string> {
  const { actor, requestId } = ambient();
  const id = newId();
  const at = now();
  const name = events[kind];
  const notice = name === null ? null : noticeOf(name, { kind: "instance", id: instanceId, projectId }, subject);
  const stored = insertOperation(inside(), {
    id,
    projectId,
    instanceId,
    kind,
    input,
    label: START,
    createdAt: at,
    updatedAt: at,
    wakeAt: at,
    deadline: new Date(at.getTime() + allowed * 60_000),
    actor: actor.kind === "user" ? actor.userId : actor.name,
    requestId: requestId ?? null,
    notice,
  });
  // Together in one round trip; a refusal takes message and event back with it.
  const [[row]] = await Promise.all([
    stored,
    emit({ topic: "operation.run", projectId, payload: { operationId: id, run: 1 } }),
    notice && tellStart(notice, { ...traitsOf(input), ...traits }),
  ]);
  if (!row) {
    throw unprocessable(`Instance ${instanceId} is busy: another operation on it has not ended yet.`, {
      reason: "operation.busy",
      next: "Wait until the running operation ends, then repeat the request.",
    });
  }
  return id;
}

const insertOperation = statement((tx) =>
  tx
    .insert(operation)
    .values(given(["id", "projectId", "instanceId", "kind", "input", "label", "createdAt", "updatedAt", "wakeAt", "deadline", "actor", "requestId", "notice"]))
    .onConflictDoNothing({ target: operation.instanceId, where: isNull(operation.outcome) })
    .returning({ id: operation.id }),
);

/** Asks the running operation of an instance to stop before its next label. True if there was one. */
export async function cancelRunning(instanceId: string): Promise<boolean> {
  const rows = await inside()
    .update(operation)
    .set({ cancelRequested: true, updatedAt: now(), wakeAt: now() })
    .where(and(eq(operation.instanceId, instanceId), isNull(operation.outcome)))
    .returning({ id: operation.id });
  return rows.length > 0;
}

/** The timeline of an instance: its operations, newest first, each with its steps in order. */
export async function timeline(instanceId: string, limit = 20) {
  const [operations, steps] = await read((tx) =>
    Promise.all([
      tx
        .select()
        .from(operation)
        .where(eq(operation.instanceId, instanceId))
        .orderBy(sql`${operation.createdAt} desc`)
        .limit(limit),
      tx
        .select({ step: operationStep })
        .from(operationStep)
        .innerJoin(operation, eq(operation.id, operationStep.operationId))
        .where(eq(operation.instanceId, instanceId))
        .orderBy(asc(operationStep.id)),
    ]),
  );
  return operations.map((row) => ({
    ...row,
    steps: steps.filter(({ step }) => step.operationId === row.id).map(({ step }) => step),
  }));
}
