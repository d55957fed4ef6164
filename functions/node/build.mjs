// Node 20 cannot run TypeScript, and a loader in every agent would cost start time and memory:
// what runs as a process is bundled into the home, once per state of the sources.
import { build, stop } from "esbuild";
import { createHash } from "node:crypto";
import { access, cp, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const source = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const home = resolve((process.env.COFFER_HOME || ".coffer").replace(/^~(?=\/|$)/, homedir()));

/** One sentence for a person, exit code 1. */
function fail(sentence) {
  process.stderr.write(`coffer: ${sentence}\n`);
  process.exit(1);
}

async function fingerprint() {
  const hash = createHash("sha256").update(process.versions.node);
  for (const room of ["core", "functions"]) {
    const names = (await readdir(join(source, room), { recursive: true })).filter((name) => /\.(ts|sql|mjs)$/.test(name)).sort();
    for (const name of names) hash.update(name).update(await readFile(join(source, room, name)));
  }
  return hash.update(await readFile(join(source, "package-lock.json"))).digest("hex").slice(0, 16);
}

/** Bundles entries into a directory, with the migrations beside them. */
async function bundle(directory, entryPoints) {
  const staging = `${directory}.${process.pid}`;
  await mkdir(staging, { recursive: true });
  await build({
    absWorkingDir: source,
    entryPoints,
    outdir: staging,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    minifySyntax: true,
    platform: "node",
    format: "esm",
    target: "node20",
    sourcemap: "linked",
    // Native helpers that the agent's WebSocket client would otherwise look for.
    define: { "process.env.WS_NO_BUFFER_UTIL": '"1"', "process.env.WS_NO_UTF_8_VALIDATE": '"1"' },
    // Some dependencies are CommonJS and ask for Node's modules by require().
    banner: { js: "import { createRequire as coffer_require } from 'node:module'; const require = coffer_require(import.meta.url);" },
    logLevel: "silent",
  }).finally(stop); // Its own process would stay as long as ours, with all that it has read.
  await cp(join(source, "core/db/migrations"), join(staging, "migrations"), { recursive: true });
  await rename(staging, directory).catch(async (error) => {
    // Another start was faster; its bundle is the same.
    if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    await rm(staging, { recursive: true, force: true });
  });
}

/** The bundle of `<kind>` and what belongs to it, made if it is not there: the checkout, and the bundle's directory. */
export async function built(kind, entryPoints) {
  // The SDK's version is pinned: what later ones will require concerns nobody here.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true";
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) fail(`Node ${process.versions.node} is too old; Coffer needs 20.19 or newer.`);
  try {
    await mkdir(home, { recursive: true, mode: 0o711 });
  } catch (error) {
    fail(`The state directory ${home} cannot be made (${error.code}); set COFFER_HOME to one that can.`);
  }
  const directory = join(home, "build", `${kind}-${await fingerprint()}`);
  try {
    await access(join(directory, `${kind}.mjs`));
  } catch {
    await bundle(directory, entryPoints).catch((error) => fail(`The ${kind} could not be built in ${home}: ${error.message}`));
  }
  return { source, build: directory };
}
