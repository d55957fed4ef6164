import { build } from "esbuild";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { platform, root } from "./platform.mjs";

/*
 * `node test/support/sst/synthesize.mjs <stage>` prints as JSON every resource that a deployment of
 * `sst.config.ts` would register, made by SST's own components. Settings come from the environment.
 */
const [stage = "dev"] = process.argv.slice(2);
const directory = await platform();
const work = await mkdtemp(join(tmpdir(), "coffer-synth-"));
const source = join(directory, ".sst/platform/src");
const program = join(directory, `program-${process.pid}.mjs`);

/** Clouds that SST's components can speak of and this stack does not use: nothing of them is ever made. */
const absent = {
  name: "absent",
  setup(of) {
    of.onResolve({ filter: /^(@pulumi\/cloudflare|@pulumiverse\/vercel)$/ }, ({ path }) => ({ path, namespace: "absent" }));
    of.onLoad({ filter: /.*/, namespace: "absent" }, () => ({ contents: "module.exports = new Proxy({}, { get: () => class {} });", loader: "js" }));
  },
};
const virtual = (name, contents) => ({
  name,
  setup(of) {
    of.onResolve({ filter: new RegExp(`^virtual:${name}$`) }, () => ({ path: `${name}.js`, namespace: name }));
    of.onLoad({ filter: /.*/, namespace: name }, () => ({ contents, resolveDir: root, loader: "js" }));
  },
});

try {
  await build({
    entryPoints: ["virtual:program"],
    // Globals of a configuration. `sst` before the shim: the other way round the components come up half made.
    inject: ["virtual:globals", join(source, "shim/run.js")],
    plugins: [
      absent,
      virtual("globals", `export * as aws from "@pulumi/aws"; export * as sst from ${JSON.stringify(join(source, "components/index.ts"))};`),
      virtual(
        "program",
        `import { evaluate } from ${JSON.stringify(join(root, "test/support/sst/evaluate.mjs"))};
         import { run } from ${JSON.stringify(join(source, "auto/run.ts"))};
         import config from ${JSON.stringify(join(root, "sst.config.ts"))};
         await evaluate({ run, config });`,
      ),
    ],
    banner: { js: `globalThis.$dev = false; globalThis.$app = {}; globalThis.$cli = ${JSON.stringify({
      command: "deploy",
      paths: { root, work, home: work, platform: join(directory, ".sst/platform") },
      state: { version: {} },
    })}; globalThis.$stage = ${JSON.stringify(stage)};` },
    outfile: program,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    logLevel: "error",
  });
  process.exitCode = await new Promise((resolve, reject) => {
    spawn(process.execPath, [program], { cwd: root, stdio: "inherit" }).on("error", reject).on("exit", (code) => resolve(code ?? 1));
  });
} finally {
  await rm(program, { force: true });
  await rm(work, { recursive: true, force: true });
}
