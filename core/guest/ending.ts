import { and, isNull, lt, ne, eq } from "drizzle-orm";
import { now } from "#core/context";
import { transaction } from "#core/db/index";
import { record } from "#core/event/index";
import { guest } from "#core/guest/guest.sql";
import { instance } from "#core/instance/instance.sql";
import { log } from "#core/log";
import { stamp } from "#core/stamp";

/** How long before its end the owner of a certificate is told, days: a CA may take weeks. */
const DAYS = 30;
const AT_ONCE = 100;

/**
 * Tells, once for each certificate, that one which a user gave ends within 30 days or has ended: `dbaas.instance_certificate.expiring`,
 * an event of our own. The built-in ones are renewed by their agents. Returns how many were told.
 */
export async function tellEndingCertificates(): Promise<number> {
  const at = now();
  const before = new Date(at.getTime() + DAYS * 86_400_000);
  return transaction(async (tx) => {
    const rows = await tx
      .select({ id: instance.id, projectId: instance.projectId, name: instance.name, mode: instance.sslMode, ref: instance.sslContainerRef, endsAt: guest.certificateEndsAt })
      .from(instance)
      .innerJoin(guest, eq(guest.instanceId, instance.id))
      .where(and(isNull(instance.deletedAt), ne(instance.sslMode, "builtin"), isNull(guest.certificateToldAt), lt(guest.certificateEndsAt, before)))
      .limit(AT_ONCE)
      .for("no key update", { of: instance, skipLocked: true });
    for (const { id, projectId, name, mode, ref, endsAt } of rows) {
      // Another sweep may have told while this one read.
      const [first] = await tx.update(guest).set({ certificateToldAt: at }).where(and(eq(guest.instanceId, id), isNull(guest.certificateToldAt))).returning({ id: guest.instanceId });
      if (!first || !endsAt) continue;
      const payload = { instance_id: id, instance_name: name, tenant_id: projectId, mode, container_ref: ref, expires_at: stamp(endsAt) };
      await record({ projectId, stream: id, type: "dbaas.instance_certificate.expiring", publisher: "taskmanager", payload });
      log.warn("a certificate ends soon", { instance: id, expires: stamp(endsAt) });
    }
    return rows.length;
  });
}
