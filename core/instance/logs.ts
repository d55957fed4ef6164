import * as z from "zod";
import { user, within } from "#core/context";
import { inside, read, transaction } from "#core/db/index";
import { AppError, badRequest } from "#core/error";
import { awaitJob, enqueue, reportedLogs } from "#core/guest/client";
import { LOG_CONTAINER, logPrefix, metafileOf } from "#core/guest/logs";
import { GuestLog } from "#core/guest/protocol";
import { notReady } from "#core/instance/gate";
import { instance } from "#core/instance/instance.sql";
import { idOf, named, unknown } from "#core/instance/row";
import { demandDone, look, type Reach, type Subject } from "#core/instance/work";

/** Logs that an instance's owner may see, turn on and off (contract §7.2); of the others only administrators are told. */
const exposed: Record<string, readonly string[]> = { postgresql: ["general"] };

export interface Log extends GuestLog {
  container: string;
  prefix: string;
  metafile: string;
}

/** What is to be done with a log, in the order of contract §5.5. */
export interface LogWish {
  enable: boolean;
  disable: boolean;
  publish: boolean;
  discard: boolean;
}

/** The logs the actor may see, as the guest last reported them. No gate but the load gate (contract §3.4). */
export async function listLogs(wanted: string): Promise<Log[]> {
  const { subject, logs } = await seen(wanted);
  return logs.map((log) => located(subject, log));
}

/** One of them: 400 for a log that is unknown or not the actor's to see. */
export async function showLog(wanted: string, name: string): Promise<Log> {
  const { subject, logs } = await seen(wanted);
  return located(subject, one(logs, name));
}

/** Turns a log on or off, discards, publishes; done when this resolves. Publishing turns a user's log on, unless it is turned off at the same time. */
export async function operateLog(wanted: string, name: string, wish: LogWish, reach: Reach): Promise<Log> {
  if (wish.enable && wish.disable) throw badRequest("A log cannot be enabled and disabled at once.", { reason: "log.both" });
  const { subject, logs } = await seen(wanted);
  const { type } = one(logs, name);
  if (type === "SYS" && (wish.enable || wish.disable)) throw badRequest(`The log '${name}' is of type SYS: it is always on.`, { reason: "log.sys" });
  const { id } = subject.row;
  const enable = type === "SYS" ? undefined : wish.disable ? false : wish.enable || wish.publish ? true : undefined;
  const jobId = await transaction(async () => {
    const [row] = await inside().select().from(instance).where(named(id)).for("no key update");
    if (!row || row.desired === "absent") throw unknown(wanted);
    // What the owner must not see does not lie in the owner's account, but in that of the administrator who asked for it.
    const to = { projectId: type === "SYS" ? user().projectId : row.projectId, prefix: logPrefix(id, subject.manager, name) };
    return enqueue({ instanceId: id, projectId: row.projectId, generation: row.generation, kind: "log", spec: { name, ...(enable !== undefined && { enable }), discard: wish.discard, publish: wish.publish, to } });
  });
  await reach.doorbell.ring(id);
  const end = await awaitJob(jobId, reach.waitMs);
  demandDone(end);
  const answer = z.object({ log: GuestLog }).safeParse(end?.result);
  if (!answer.success) throw new AppError("instanceFault", "The guest did not say what became of the log.", { reason: "log.answer", cause: answer.error });
  return located(subject, answer.data.log);
}

async function seen(wanted: string): Promise<{ subject: Subject; logs: GuestLog[] }> {
  const id = idOf(wanted);
  const [[subject], reported] = await read((tx) => within({ tx }, () => Promise.all([look(id), reportedLogs(id)])));
  if (!subject) throw unknown(wanted);
  if (subject.row.serverState === "none") throw notReady(subject.row);
  const mine = exposed[subject.manager] ?? [];
  // Before the guest's first word: off, with nothing in it.
  const untold = mine.map((name): GuestLog => ({ name, type: "USER", enabled: false, published: 0, pending: 0, rotated: false }));
  return { subject, logs: (reported ?? untold).filter(({ name }) => mine.includes(name) || user().isAdmin) };
}

function one(logs: GuestLog[], name: string): GuestLog {
  const found = logs.find((log) => log.name === name);
  if (!found) throw badRequest(`There is no log '${name}' of this instance; there are: ${logs.map((log) => log.name).join(", ") || "none"}.`, { reason: "log.unknown" });
  return found;
}

function located({ row, manager }: Subject, log: GuestLog): Log {
  const prefix = logPrefix(row.id, manager, log.name);
  return { ...log, container: LOG_CONTAINER, prefix, metafile: metafileOf(prefix) };
}
