import { and, eq } from "drizzle-orm";
import { now } from "#core/context";
import { read } from "#core/db/index";
import type { Container, ObjectStore } from "#core/driver/objectstore";
import { AppError } from "#core/error";
import { guestJob } from "#core/guest/guest.sql";
import { jobs } from "#core/guest/protocol";
import type { Guest } from "#core/guest/server";

/** Contract §5.5 (`guest_log_container_name`, `guest_log_expiry`). */
export const LOG_CONTAINER = "database_logs";
const EXPIRY_SECONDS = 2_592_000;
const CALL_MS = 15_000;
const PAGE = 1000;

/** Where the objects of a log are: `<instance>/<datastore>-<log>/` (contract §5.5). */
export const logPrefix = (instanceId: string, manager: string, log: string) => `${instanceId}/${manager}-${log}/`;
/** Beside the objects, so that a listing by prefix does not show it. */
export const metafileOf = (prefix: string) => prefix.replace(/\/$/, "_metafile");

/** What a guest may write to, because a job of its queue says so, and for as long as that is queued. */
interface Grant {
  container: Container;
  prefix: string;
  log: string;
}

async function granted({ instanceId, generation }: Guest, jobId: string): Promise<Grant> {
  const [job] = await read((tx) =>
    tx
      .select({ spec: guestJob.spec })
      .from(guestJob)
      .where(and(eq(guestJob.id, jobId), eq(guestJob.instanceId, instanceId), eq(guestJob.generation, generation), eq(guestJob.kind, "log"), eq(guestJob.state, "queued"))),
  );
  if (!job) throw new AppError("conflict", "No job of this guest's asks for a log.", { reason: "log.job" });
  const { name, to } = jobs.log.parse(job.spec);
  return { container: { projectId: to.projectId, name: LOG_CONTAINER }, prefix: to.prefix, log: name };
}

const call = () => ({ signal: AbortSignal.timeout(CALL_MS) });

/** Stores one object of the log that a job of the guest's asks for. Again = the same object again. */
export async function storeLog(store: ObjectStore, guest: Guest, jobId: string, object: string, content: Uint8Array): Promise<void> {
  const { container, prefix, log } = await granted(guest, jobId);
  const expiresAt = new Date(now().getTime() + EXPIRY_SECONDS * 1000);
  const name = object === "metafile" ? metafileOf(prefix) : prefix + object;
  await store.put(container, name, whole(content), { contentType: object === "metafile" ? "application/json" : "text/plain; charset=utf-8", meta: { lines: String(linesIn(content)), "log-name": log }, expiresAt }, call());
}

/** Removes all that was published of the log that a job of the guest's asks for. */
export async function discardLog(store: ObjectStore, guest: Guest, jobId: string): Promise<void> {
  const { container, prefix } = await granted(guest, jobId);
  for (;;) {
    const found = (await store.list(container, { prefix, limit: PAGE }, call())) ?? [];
    for (const { name } of found) await store.remove(container, name, call());
    if (found.length < PAGE) break;
  }
  await store.remove(container, metafileOf(prefix), call());
}

async function* whole(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
}

/** Clients add these up to find the last so many lines. */
function linesIn(content: Uint8Array): number {
  let lines = 0;
  for (let at = content.indexOf(10); at >= 0; at = content.indexOf(10, at + 1)) lines++;
  return lines + (content.length > 0 && content.at(-1) !== 10 ? 1 : 0);
}
