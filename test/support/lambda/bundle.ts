import { build, type Plugin } from "esbuild";
import { resolve } from "node:path";
import type { FunctionName } from "#functions/aws/environment";

/** As SST 4 bundles a Node function (`nodejs.minify`): its options and its banner. */
const options = {
  bundle: true,
  minify: true,
  keepNames: true,
  platform: "node",
  format: "esm",
  target: "esnext",
  metafile: true,
  logLevel: "silent",
  // Of the agent only, as `functions/local/start.mjs` sets it.
  define: { "process.env.WS_NO_BUFFER_UTIL": '"1"', "process.env.WS_NO_UTF_8_VALIDATE": '"1"' },
  banner: {
    js: [
      `import { createRequire as topLevelCreateRequire } from "module";`,
      `const require = topLevelCreateRequire(import.meta.url);`,
      `import { fileURLToPath as topLevelFileUrlToPath, URL as topLevelURL } from "url"`,
      `const __filename = topLevelFileUrlToPath(import.meta.url)`,
      `const __dirname = topLevelFileUrlToPath(new topLevelURL(".", import.meta.url))`,
      "",
    ].join("\n"),
  },
} as const;

/** The seam of the drivers, with fakes behind it. */
const fakeCloud = (path: string): Plugin => ({
  name: "fake cloud",
  setup(made) {
    made.onResolve({ filter: /^#functions\/aws\/cloud$/ }, () => ({ path: resolve(path) }));
  },
});

export interface Bundle {
  bytes: number;
  /** Files of the checkout that are in it. */
  inputs: string[];
}

/** Bundles one entry into `<outfile>`; `fakes`: with a cloud in its memory, or with the module of that path for one. */
export async function bundle(entry: string, outfile: string, { fakes = false }: { fakes?: boolean | string } = {}): Promise<Bundle> {
  const { metafile } = await build({ ...options, mainFields: ["module", "main"], entryPoints: [entry], outfile, ...(fakes && { plugins: [fakeCloud(fakes === true ? "test/support/lambda/cloud.ts" : fakes)] }) });
  const [output] = Object.values(metafile.outputs);
  if (!output) throw new Error(`${entry} gave no bundle`);
  return { bytes: output.bytes, inputs: Object.keys(output.inputs) };
}

export const functionNames = ["api", "guest", "doorbell", "queue", "workflow", "cron", "migrate"] as const satisfies readonly FunctionName[];
export const entryOf = (name: FunctionName) => `functions/${name}/index.ts`;
