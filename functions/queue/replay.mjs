// Bundles and runs the operator's command: Node 20 cannot run TypeScript.
import { build } from "esbuild";
import { mkdtemp, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true";
const source = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const directory = await mkdtemp(join(source, "node_modules/.coffer-replay-"));
try {
  const outfile = join(directory, "replay.mjs");
  await build({ absWorkingDir: source, entryPoints: ["functions/queue/replay.ts"], outfile, bundle: true, packages: "external", platform: "node", format: "esm", target: "node20", logLevel: "error" });
  const { main } = await import(pathToFileURL(outfile).href);
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`coffer: ${error.message}\n`);
  process.exitCode = 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}
