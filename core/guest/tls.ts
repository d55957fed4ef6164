import { eq } from "drizzle-orm";
import { inside } from "#core/db/index";
import { TlsResult, type JobKind, type JobResult } from "#core/guest/protocol";
import { log } from "#core/log";
import { instance } from "#core/instance/instance.sql";

/** Stores, in the open transaction, what the guest says is in force: the row follows it, never the wish. */
export async function settleTls({ instanceId }: { instanceId: string }, kind: JobKind, result: JobResult): Promise<void> {
  if (kind !== "tls" || !result.ok) return;
  const told = TlsResult.safeParse(result.result);
  if (!told.success) return log.error("a guest does not say which certificate is in force", { instance: instanceId });
  const { mode, containerRef = null, passwordRef = null } = told.data;
  await inside().update(instance).set({ sslMode: mode, sslContainerRef: containerRef, sslPasswordRef: passwordRef }).where(eq(instance.id, instanceId));
}
