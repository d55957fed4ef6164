import { inside, transaction } from "#core/db/index";
import { badRequest } from "#core/error";
import { awaitJob, enqueue, waitingQuestion, type Question } from "#core/guest/client";
import { Diagnostics, Hardware } from "#core/guest/protocol";
import { notReady, refused } from "#core/instance/gate";
import { instance } from "#core/instance/instance.sql";
import { idOf, named, unknown } from "#core/instance/row";
import { demandDone, type Reach } from "#core/instance/work";

export type { Diagnostics, Hardware };

/*
 * What administrators ask of a guest, and get within the reply (contract §2.12, §5.3). Behind the load gate alone:
 * a guest in trouble is the one to be asked. One that cannot answer in time is a 400 (contract §4.2).
 */

/** Stops the database, to stay so until a restart, a reboot or a rebuild. */
export async function stop(wanted: string, reach: Reach): Promise<void> {
  await ask(wanted, "stop", reach);
}

/** Whether the guest is there. */
export async function ping(wanted: string, reach: Reach): Promise<void> {
  await ask(wanted, "ping", reach);
}

/** Figures of the guest's own process. */
export async function diagnostics(wanted: string, reach: Reach): Promise<Diagnostics> {
  return answer(Diagnostics.safeParse(await ask(wanted, "diagnostics", reach)));
}

/** Figures of its machine. */
export async function hardware(wanted: string, reach: Reach): Promise<Hardware> {
  return answer(Hardware.safeParse(await ask(wanted, "hwinfo", reach)));
}

function answer<T>(parsed: { success: true; data: T } | { success: false; error: Error }): T {
  if (parsed.success) return parsed.data;
  throw badRequest("The guest's answer is not understood.", { reason: "guest.answer", next: "Rebuild the instance with a current image.", cause: parsed.error });
}

async function ask(wanted: string, kind: "stop" | Question, reach: Reach): Promise<unknown> {
  const id = idOf(wanted);
  const jobId = await transaction(async () => {
    const [row] = await inside().select().from(instance).where(named(id)).for("no key update");
    if (!row) throw unknown(id);
    if (row.serverState === "none") throw notReady(row);
    if (row.desired === "absent") throw refused(row, "task status was DELETING");
    const { projectId, generation } = row;
    return (await waitingQuestion({ instanceId: id, generation, kind })) ?? enqueue({ instanceId: id, projectId, generation, kind, spec: {} });
  });
  await reach.doorbell.ring(id);
  const seen = await awaitJob(jobId, reach.waitMs);
  demandDone(seen);
  return seen?.result;
}
