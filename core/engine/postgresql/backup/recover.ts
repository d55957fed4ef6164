import { readFile } from "node:fs/promises";
import type { Clock } from "#core/clock";
import type { Machine } from "#core/engine/engine";
import type { RestoreOrder } from "#core/engine/physical";
import { AppError } from "#core/error";
import { scramVerifier } from "#core/guest/scram";
import { asRoot, privateDirectory, spawnServer, stopServer } from "#core/engine/postgresql/cluster";
import { readable } from "#core/engine/postgresql/configuration";
import type { Connections } from "#core/engine/postgresql/connections";
import { place } from "#core/engine/postgresql/files";
import { lastFailure, logSize } from "#core/engine/postgresql/log";
import { literal, superuser } from "#core/engine/postgresql/names";
import { eventually, isReady, isServer } from "#core/engine/postgresql/process";
import { overridesText, settingsText } from "#core/engine/postgresql/settings";
import type { Layout } from "#core/engine/postgresql/volume";

/** A replay takes as long as it takes; whoever waits looks at what has moved. */
const recoveryMs = 24 * 3_600_000;
/** It writes all that was replayed and is not on disk yet. */
const stopMs = 300_000;

/**
 * Has the server replay, as a server of nobody's: without the network, and only for the agent, whose password it does not know yet. It
 * ends on a timeline of its own, with this instance's password for the agent, and is down then.
 */
export async function recover(machine: Machine, files: Layout, connections: Connections, order: RestoreOrder, clock: Clock): Promise<void> {
  const { engineUser } = machine;
  const as = asRoot() ? engineUser : undefined;
  await privateDirectory(machine.runDirectory, as);
  await place(files.access, `local all ${superuser} trust\nlocal all all reject\n`, readable(machine));
  for (const file of [files.overrides, files.tls, files.guard]) await place(file, overridesText(), readable(machine));
  await configure(machine, files, order, { restore_command: "false", recovery_target: "immediate" });
  const offset = await logSize(files.log);
  const { pid } = await spawnServer({ native: machine.engineDirectory, directory: files.pgdata, logFile: files.log, ...(as && { as }), options: { config_file: files.settings } });
  try {
    let isGone = false;
    await eventually(
      async () => {
        if (await isReady(files.pgdata, pid, ["ready"])) return true;
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

async function configure(machine: Machine, files: Layout, { settings }: RestoreOrder, recovery: Record<string, string>): Promise<void> {
  const lines = Object.entries({ ...quiet, ...recovery }).map(([name, value]) => `${name} = ${literal(value)}`);
  await place(files.settings, `${settingsText(machine, files, settings, files.overrides)}${lines.join("\n")}\n`, readable(machine));
}
