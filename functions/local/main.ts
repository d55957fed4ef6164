import { resolve } from "node:path";
import { configOf } from "#core/config";
import { describe } from "#core/error";
import { arm } from "#core/failpoint";
import { log, setSink, terminalSink } from "#core/log";
import { startService } from "#functions/local/service";
import { settingsOf } from "#functions/local/settings";
import { stopSignal } from "#functions/node/signal";
import { StartError } from "#functions/node/start-error";

export interface Build {
  /** The checkout: embedded servers are in its node_modules. */
  source: string;
  /** Where the bundles are. */
  build: string;
}

/** Starts everything, tells where it is, and stops it in order at SIGINT or SIGTERM. */
export async function main({ source, build }: Build): Promise<void> {
  const begun = Date.now();
  // From the first moment: a signal that comes during the start stops in order once everything is up.
  const stopping = stopSignal();
  try {
    const settings = settingsOf(process.env, process.stderr.isTTY);
    const config = configOf(process.env);
    if (settings.log === "text") setSink(terminalSink);
    if (settings.failpoint) arm(settings.failpoint, () => void process.kill(process.pid, "SIGKILL"));
    const service = await startService({ settings, config, source: resolve(source), build });
    process.stdout.write(service.banner((Date.now() - begun) / 1000));
    await stopping;
    log.info("stopping");
    await service.stop();
    log.info("stopped");
    process.exit(0);
  } catch (error) {
    process.stderr.write(`coffer: ${describe(error)}\n`);
    if (!(error instanceof StartError) && error instanceof Error && process.env.COFFER_DEBUG) process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  }
}
