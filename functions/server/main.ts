import { join } from "node:path";
import { migrate } from "#core/db/migrate";
import { describe } from "#core/error";
import { arm } from "#core/failpoint";
import { log, setSink, terminalSink } from "#core/log";
import { stopSignal } from "#functions/node/signal";
import { startServer } from "#functions/server/service";
import { migratorOf, settingsOf } from "#functions/server/settings";

/** `npm run serve`, or `npm run migrate` with the command "migrate". `build` is where the bundle is, and beside it the folder `migrations`. */
export async function main(build: string, command?: string): Promise<void> {
  const stopping = stopSignal();
  const migrations = join(build, "migrations");
  try {
    if (process.stderr.isTTY) setSink(terminalSink);
    if (command === "migrate") {
      const { DATABASE_URL: url, COFFER_APP_PASSWORD: app, COFFER_SYSTEM_PASSWORD: system } = migratorOf(process.env);
      const installation = await migrate({ url, folder: migrations, passwords: { app, system } });
      process.stdout.write(`The schema is up to date; this is installation ${installation}.\n`);
      process.exit(0);
    }
    if (command !== undefined) throw new Error(`'${command}' is no command; the one there is beside serving is 'migrate'.`);
    const settings = settingsOf(process.env);
    if (settings.COFFER_FAILPOINT) arm(settings.COFFER_FAILPOINT, () => void process.kill(process.pid, "SIGKILL"));
    const server = await startServer({ settings, migrations });
    process.stdout.write(`Coffer is ready: API ${server.url}, guests ${settings.COFFER_GUEST_URL} on port ${server.guestPort}\n`);
    await stopping;
    log.info("stopping");
    await server.stop();
    log.info("stopped");
    process.exit(0);
  } catch (error) {
    process.stderr.write(`coffer: ${describe(error)}\n`);
    process.exit(1);
  }
}
