import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const here = dirname(fileURLToPath(import.meta.url));
export const root = join(here, "../../..");
const cache = join(root, "node_modules/.cache/coffer-sst");

/** Enough for the binary to write its platform; an exact provider version keeps it from asking a registry for the newest. */
const config = `export default $config({
  app: () => ({ name: "platform", home: "aws", providers: { aws: { version: "7.20.0" } } }),
  async run() {},
});
`;

/**
 * A directory with the sources of SST's components, as the pinned binary carries them, and beside them
 * what they import of Pulumi, from the lock file in `providers`. Made once per pair of versions, under
 * node_modules/.cache. Needs the npm registry the first time, and neither AWS, Pulumi's engine nor bun.
 */
export async function platform() {
  const sst = join(root, "node_modules/sst");
  const lock = await readFile(join(here, "providers/package-lock.json"));
  const version = await readFile(join(sst, "package.json"));
  const directory = join(cache, createHash("sha256").update(lock).update(version).update(config).digest("hex").slice(0, 16));
  if (existsSync(directory)) return directory;

  await mkdir(cache, { recursive: true });
  const fresh = await mkdtemp(join(cache, "new-"));
  try {
    await cp(join(here, "providers"), fresh, { recursive: true });
    await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", fresh], { cwd: fresh });
    await writeFile(join(fresh, "sst.config.ts"), config);
    await run(join(sst, "bin/sst.mjs"), ["install", "--stage", "platform"], {
      cwd: fresh,
      env: {
        ...process.env,
        // The binary would fetch bun and Pulumi's engine; to write its sources it needs neither.
        SST_SKIP_DEPENDENCY_CHECK: "true",
        SST_BUN_PATH: "/bin/true",
        SST_TELEMETRY_DISABLED: "1",
        DO_NOT_TRACK: "1",
      },
    });
    await rename(fresh, directory);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return directory;
}
