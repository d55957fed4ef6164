// Bundles and runs the bench: Node 20 cannot run TypeScript.
import { build } from "esbuild";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const directory = await mkdtemp(join(process.cwd(), "node_modules/.coffer-bench-"));
try {
  await build({
    entryPoints: { main: "test/bench/main.ts", floor: "test/bench/floor.ts", api: "test/bench/api.ts" },
    outdir: directory,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
  });
  const { main } = await import(pathToFileURL(join(directory, "main.mjs")).href);
  await main(directory, process.argv.slice(2));
} finally {
  await rm(directory, { recursive: true, force: true });
}
