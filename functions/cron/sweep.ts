import { and, eq, inArray, isNull, lt, ne, notExists, sql } from "drizzle-orm";
import { system } from "#core/actor";
import { cleanBackups } from "#core/backup/clean";
import { rotateDue } from "#core/backup/keys";
import { pruneArchives } from "#core/backup/prune";
import { systemClock, type Clock } from "#core/clock";
import { enter, now } from "#core/context";
import { read, transaction, type Database } from "#core/db/index";
import { sendOwn, sweep as sweepOutbox, type Publisher } from "#core/db/outbox";
import { tellExisting, tellQuotas } from "#core/event/audit";
import { drain, lateEvents, purgeEvents, type Sink } from "#core/event/drain";
import type { Config } from "#core/config";
import { tellEndingCertificates } from "#core/guest/ending";
import { defaultLimits } from "#core/quota/index";
import { purgeRates } from "#core/quota/rate";
import type { Server } from "#core/driver/compute";
import { describe } from "#core/error";
import { createSeal, sealKey } from "#core/seal";
import { expire } from "#core/guest/doorbell";
import { instance, resource } from "#core/instance/instance.sql";
import { log } from "#core/log";
import { begin } from "#core/operation/index";
import { operation } from "#core/operation/operation.sql";
import { call, type Workshop } from "#core/workflow/context";
import { removeCondemned } from "#core/workflow/reconcile";
import type { Executions } from "#core/workflow/run";
import { due, overdue } from "#core/workflow/step";

export interface SweepDeps {
  db: Database;
  publisher: Publisher;
  executions: Executions;
  workshop: Workshop;
  config: Config;
  /** Who is told of what happens; absent = nobody. */
  sink?: Sink | undefined;
  clock?: Clock;
}

/** A delete that failed is tried again after this long, until it succeeds. */
const REDELETE_SECONDS = 60;
/** What is told by schedule, and what is delivered, goes on at the next sweep after so long. */
const TELL_SECONDS = 5;
const DRAIN_SECONDS = 10;
/** A guest of a running server that was not heard of for so long, beyond the silence it was allowed, is counted as silent; it shows ERROR well before. */
export const SILENT_SECONDS = 300;

/**
 * Once a minute, and at once at a local start: sends what is still unsent, drives runs that
 * nobody drives, repeats failed deletes, removes what is left of backups, looks whether servers are still what we think, and removes
 * what appeared after its instance was gone. What a person should hear of it says with a count; in the
 * cloud the alarms read these lines (`functions/aws/stack/alarms.ts`).
 * Each part runs though another failed.
 */
export const createSweep =
  ({ db, publisher, executions, workshop, config, sink, clock = systemClock }: SweepDeps) =>
  (): Promise<void> =>
    enter({ db, actor: system("sweep"), clock }, async () => {
      await part("outbox", () => sweepOutbox(publisher));
      await part("due", async () => {
        for (const run of await due()) await executions.start(run);
      });
      await part("deletes", async () => {
        await repeatDeletes();
        await sendOwn(publisher);
      });
      await part("servers", () => observe(workshop));
      await part("condemned", () => removeCondemned(workshop));
      await part("backups", async () => {
        if (workshop.objects) await cleanBackups(workshop.objects);
      });
      await part("archives", async () => {
        if (workshop.objects) await pruneArchives(workshop.objects);
      });
      await part("keys", () => rotateDue(createSeal(sealKey(workshop.rootKey))));
      await part("doorbells", expire);
      await part("rates", purgeRates);
      await part("certificates", tellEndingCertificates);
      await part("events", () => tell(config, sink));
      await part("overdue", async () => {
        const count = await overdue();
        if (count > 0) log.error("operations are overdue", { count });
      });
      await part("guests", async () => {
        const count = await silent();
        if (count > 0) log.error("guests are silent", { count });
      });
    });

/** What is told by schedule, then everything that waits to be delivered. */
async function tell(config: Config, sink: Sink | undefined): Promise<void> {
  if (config.COFFER_EXISTS_SECONDS > 0) await tellExisting(config.COFFER_EXISTS_SECONDS, TELL_SECONDS);
  if (config.COFFER_QUOTA_EVENTS_SECONDS > 0) await tellQuotas(config.COFFER_QUOTA_EVENTS_SECONDS, defaultLimits(config), TELL_SECONDS);
  await purgeEvents({ nobody: !sink });
  if (!sink) return;
  await drain(sink, { seconds: DRAIN_SECONDS });
  const count = await lateEvents();
  if (count > 0) log.error("events are not taken", { count });
}

async function part(name: string, work: () => Promise<unknown>) {
  try {
    await work();
  } catch (error) {
    log.error("sweep failed", { part: name, error: describe(error) });
  }
}

/** Deletes never give up: one that failed begins again. */
async function repeatDeletes() {
  const before = new Date(now().getTime() - REDELETE_SECONDS * 1000);
  await transaction(async (tx) => {
    const stuck = await tx
      .select({ id: instance.id, projectId: instance.projectId })
      .from(instance)
      .where(
        and(
          eq(instance.desired, "absent"),
          isNull(instance.deletedAt),
          lt(instance.updatedAt, before),
          notExists(
            tx.select({ one: sql`1` }).from(operation).where(and(eq(operation.instanceId, instance.id), isNull(operation.outcome))),
          ),
        ),
      )
      .limit(50)
      .for("update", { skipLocked: true });
    for (const { id, projectId } of stuck) {
      log.warn("delete begins again", { instance: id });
      await begin({ instanceId: id, projectId, kind: "destroy" });
    }
  });
}

/** Stores what the compute service says of our servers, where it differs. */
async function observe({ compute }: Workshop) {
  const known = await read((tx) =>
    tx
      .select({ id: instance.id, name: resource.name, state: instance.serverState })
      .from(resource)
      .innerJoin(instance, eq(instance.id, resource.instanceId))
      .where(and(eq(resource.kind, "server"), isNull(resource.removedAt), isNull(instance.deletedAt), eq(instance.task, "NONE"))),
  );
  if (known.length === 0) return;
  const servers = new Map<string, Server>((await compute.list(call())).map((server) => [server.name, server]));
  const changes = new Map<Server["state"] | "none", string[]>();
  for (const { id, name, state } of known) {
    const seen = servers.get(name)?.state ?? "none";
    if (seen !== state) changes.set(seen, [...(changes.get(seen) ?? []), id]);
  }
  for (const [serverState, ids] of changes) {
    log.warn("servers changed", { state: serverState, count: ids.length });
    await transaction((tx) =>
      tx
        .update(instance)
        .set({ serverState, updatedAt: now() })
        .where(and(inArray(instance.id, ids), eq(instance.task, "NONE"), ne(instance.serverState, serverState))),
    );
  }
}

/** How many guests have not reported though nothing is being done to their instance and its server runs. */
async function silent(): Promise<number> {
  const before = new Date(now().getTime() - SILENT_SECONDS * 1000).toISOString();
  const expected = sql`${instance.serviceStatusAt} + make_interval(secs => ${instance.silenceSeconds})`;
  const [row] = await read((tx) =>
    tx
      .select({ count: sql<number>`count(*)::int` })
      .from(instance)
      .where(and(isNull(instance.deletedAt), eq(instance.task, "NONE"), eq(instance.serverState, "ACTIVE"), lt(expected, sql`${before}::timestamptz`))),
  );
  return row?.count ?? 0;
}
