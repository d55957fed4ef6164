import { and, eq, exists, gt, isNull, lt, sql } from "drizzle-orm";
import { now } from "#core/context";
import { read, transaction } from "#core/db/index";
import { AppError } from "#core/error";
import { guestDoorbell } from "#core/guest/doorbell.sql";
import { guest, guestJob } from "#core/guest/guest.sql";
import { isDue } from "#core/guest/due";
import type { Caller } from "#core/guest/server";
import { instance } from "#core/instance/instance.sql";
import type { ServiceStatus } from "#core/instance/status";

/*
 * Which connection rings which guest. The gateway tells of an end at best effort only, so a row lives no longer than
 * the gateway lets a silent connection live.
 */

/** API Gateway closes a connection after ten minutes without a message (quotas of WebSocket APIs); and a minute to spare. */
const SILENCE_SECONDS = 660;
/** A message for a connection is refused as gone until its handshake has been answered; whoever connects asks for work right after. */
const HANDSHAKE_SECONDS = 10;

const expiry = () => new Date(now().getTime() + SILENCE_SECONDS * 1000);

/** Makes this connection the guest's only one. Throws `conflict` when one that was asked for later is there already. */
export async function open({ instanceId, projectId, generation, sequence }: Caller, connectionId: string): Promise<void> {
  const values = { projectId, generation, sequence, connectionId, connectedAt: now(), expiresAt: expiry() };
  const [kept] = await transaction((tx) =>
    tx
      .insert(guestDoorbell)
      .values({ instanceId, ...values })
      .onConflictDoUpdate({
        target: guestDoorbell.instanceId,
        set: values,
        setWhere: sql`(${guestDoorbell.generation}, ${guestDoorbell.sequence}) < (${generation}, ${sequence})`,
      })
      .returning({ instanceId: guestDoorbell.instanceId }),
  );
  if (!kept) throw new AppError("conflict", "A later connection of this guest is open.", { reason: "doorbell.superseded" });
}

/** What a guest need not repeat: while it says nothing, it is as it last said. */
const quiet: readonly ServiceStatus[] = ["healthy", "running", "restart_required"];

/**
 * A sign of life: what the guest last reported still holds. Returns the instance if its guest should
 * be rung, as jobs wait for it or its word is wanted; undefined if not, or if the connection counts no more.
 */
export async function ping(connectionId: string): Promise<string | undefined> {
  const at = now();
  return transaction(async (tx) => {
    const [row] = await tx
      .update(guestDoorbell)
      .set({ expiresAt: expiry() })
      .where(eq(guestDoorbell.connectionId, connectionId))
      .returning({ instanceId: guestDoorbell.instanceId, generation: guestDoorbell.generation });
    if (!row) return undefined;
    const { instanceId, generation } = row;
    const [known] = await tx
      .update(guest)
      .set({ lastSeenAt: at })
      .where(and(eq(guest.instanceId, instanceId), eq(guest.generation, generation), isNull(guest.revokedAt)))
      .returning({ instanceId: guest.instanceId });
    if (!known) return undefined;
    const [seen] = await tx
      .update(instance)
      .set({ serviceStatusAt: at })
      .where(and(eq(instance.id, instanceId), eq(instance.generation, generation), isNull(instance.deletedAt)))
      .returning({ serviceStatus: instance.serviceStatus, serverState: instance.serverState });
    if (!seen) return undefined;
    if (!quiet.includes(seen.serviceStatus) || seen.serverState !== "ACTIVE") return instanceId;
    const [job] = await tx
      .select({ id: guestJob.id })
      .from(guestJob)
      .where(and(eq(guestJob.instanceId, instanceId), eq(guestJob.generation, generation), eq(guestJob.state, "queued"), isDue()))
      .limit(1);
    return job && instanceId;
  });
}

/** The gateway says that the connection ended. One that was replaced meanwhile leaves the newer one alone. */
export async function close(connectionId: string): Promise<void> {
  await transaction((tx) => tx.delete(guestDoorbell).where(eq(guestDoorbell.connectionId, connectionId)));
}

/** True while this guest can be rung. */
export async function connected({ instanceId, generation }: Pick<Caller, "instanceId" | "generation">): Promise<boolean> {
  const [row] = await read((tx) =>
    tx
      .select({ id: guestDoorbell.instanceId })
      .from(guestDoorbell)
      .where(and(eq(guestDoorbell.instanceId, instanceId), eq(guestDoorbell.generation, generation), gt(guestDoorbell.expiresAt, now()))),
  );
  return row !== undefined;
}

/** The connection to ring an instance's present guest by; undefined when there is none. */
export async function connectionOf(instanceId: string): Promise<string | undefined> {
  const [row] = await read((tx) =>
    tx
      .select({ connectionId: guestDoorbell.connectionId })
      .from(guestDoorbell)
      .where(
        and(
          eq(guestDoorbell.instanceId, instanceId),
          gt(guestDoorbell.expiresAt, now()),
          exists(
            tx
              .select({ one: sql`1` })
              .from(instance)
              .where(and(eq(instance.id, guestDoorbell.instanceId), eq(instance.generation, guestDoorbell.generation), isNull(instance.deletedAt))),
          ),
        ),
      ),
  );
  return row?.connectionId;
}

/** The gateway does not know the connection any more, or does not know it yet: then it is kept. */
export async function gone(connectionId: string): Promise<void> {
  const before = new Date(now().getTime() - HANDSHAKE_SECONDS * 1000);
  await transaction((tx) =>
    tx.delete(guestDoorbell).where(and(eq(guestDoorbell.connectionId, connectionId), lt(guestDoorbell.connectedAt, before))),
  );
}

/** Removes connections of whose end nobody told. Returns how many. */
export async function expire(): Promise<number> {
  const rows = await transaction((tx) =>
    tx.delete(guestDoorbell).where(lt(guestDoorbell.expiresAt, now())).returning({ id: guestDoorbell.instanceId }),
  );
  return rows.length;
}
