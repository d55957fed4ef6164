import { readFile } from "node:fs/promises";
import type { Clock } from "#core/clock";
import type { Machine } from "#core/engine/engine";
import type { RestoreOrder } from "#core/engine/physical";
import { AppError } from "#core/error";
import { scramVerifier } from "#core/guest/scram";
import { Feed } from "#core/engine/postgresql/backup/feed";
import { placeSpool } from "#core/engine/postgresql/backup/spool";
import { asRoot, privateDirectory, spawnServer, stopServer } from "#core/engine/postgresql/cluster";
import { readable } from "#core/engine/postgresql/configuration";
import type { Connections } from "#core/engine/postgresql/connections";
import { place } from "#core/engine/postgresql/files";
import { lastFailure, logSize } from "#core/engine/postgresql/log";
import { literal, superuser } from "#core/engine/postgresql/names";
import { eventually, isReady, isServer } from "#core/engine/postgresql/process";
import { command } from "#core/engine/postgresql/shell";
import { overridesText, settingsText } from "#core/engine/postgresql/settings";
import type { Layout } from "#core/engine/postgresql/volume";

/** A replay takes as long as it takes; whoever waits looks at what has moved. */
const recoveryMs = 24 * 3_600_000;
/** It writes all that was replayed and is not on disk yet. */
const stopMs = 300_000;
/** All of the archive was replayed, and nothing in it was later than the time that was asked for. */
const endedBefore = "recovery ended before configured recovery target was reached";

interface Place {
  machine: Machine;
  files: Layout;
  connections: Connections;
  clock: Clock;
}

/**
 * Has the server replay, as a server of nobody's: without the network, and only for the agent, whose password it does not know yet. It
 * ends on a timeline of its own, with this instance's password for the agent, and is down then.
 */
export async function recover(at: Place, order: RestoreOrder): Promise<void> {
  const { machine, files } = at;
  await privateDirectory(machine.runDirectory, asRoot() ? machine.engineUser : undefined);
  await place(files.access, `local all ${superuser} trust\nlocal all all reject\n`, readable(machine));
  for (const file of [files.overrides, files.tls, files.guard, files.replication]) await place(file, overridesText(), readable(machine));
  await placeSpool(machine, files, order.settings);
  // Up to its own end a backup has all WAL with it.
  if (!order.until) return replay(at, order, { restore_command: "false", recovery_target: "immediate" });
  await replayUntil(at, order, order.until);
}

async function replayUntil(at: Place, order: RestoreOrder, { time, log: archive }: NonNullable<RestoreOrder["until"]>): Promise<void> {
  const { machine, files, clock } = at;
  const feed = new Feed(machine, files, archive, clock);
  const restoring = { restore_command: command(files.restoreScript, "%f", "%p"), recovery_target_timeline: "latest" };
  await feed.start();
  try {
    await replay(at, order, { ...restoring, recovery_target_time: numeric(time) }).catch(async (error: unknown) => {
      if (!(error instanceof AppError) || !error.message.includes(endedBefore) || feed.end === undefined) throw error;
      if (await archive.follows(feed.end)) {
        throw new AppError("instanceFault", `The archive lacks WAL segment ${feed.end}: ${time} cannot be reached.`, { reason: "archive.gap", next: "Restore to an earlier time, or from a later backup.", final: true, cause: error });
      }
      // Nothing was committed between the end of the archive and that time.
      await replay(at, order, restoring);
    });
  } finally {
    await feed.stop();
  }
}

/** When settings are read, PostgreSQL knows no names of time zones yet, and not `Z` either. */
const numeric = (time: string) => new Date(time).toISOString().replace("T", " ").replace("Z", "+00");

async function replay({ machine, files, connections, clock }: Place, { settings }: RestoreOrder, recovery: Record<string, string>): Promise<void> {
  const lines = Object.entries({ ...quiet, ...recovery }).map(([name, value]) => `${name} = ${literal(value)}`);
  await place(files.settings, `${settingsText(machine, files, settings, files.overrides)}${lines.join("\n")}\n`, readable(machine));
  const offset = await logSize(files.log);
  const as = asRoot() ? machine.engineUser : undefined;
  const { pid } = await spawnServer({ native: machine.engineDirectory, directory: files.pgdata, logFile: files.log, ...(as && { as }), options: { config_file: files.settings } });
  try {
    let isGone = false;
    await eventually(
      async () => {
        if (await isReady(files.pgdata, pid)) return true;
        isGone = !(await isServer(pid, files.pgdata));
        return isGone;
      },
      recoveryMs,
      clock,
    );
    if (isGone) throw new AppError("instanceFault", `The restored database server does not come up: ${await lastFailure(files.log, offset)}`, { reason: "backup.replay", final: true });
    const verifier = await scramVerifier(await readFile(files.superuser, "utf8"));
    await connections.fresh((sql) => sql.unsafe(`ALTER ROLE ${superuser} PASSWORD ${literal(verifier)}`));
  } finally {
    await stopServer(files.pgdata, { timeoutMs: stopMs, clock });
  }
}

/** Whatever the source's parameters were: only a server that serves while it replays must have room for as many sessions. */
const quiet = { listen_addresses: "", hot_standby: "off", recovery_target_action: "promote", max_prepared_transactions: "1000" };
