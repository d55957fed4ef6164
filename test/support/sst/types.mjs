import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { platform, root } from "./platform.mjs";

/*
 * `npm run types:sst`: checks the types of `sst.config.ts` and its parts against SST's own. SST's sources
 * come along as TypeScript and are written for fewer options than ours; what is still found in them is left out.
 */
const directory = await platform();
const project = join(directory, "tsconfig.json");
await writeFile(
  project,
  JSON.stringify({
    extends: join(root, "tsconfig.json"),
    compilerOptions: {
      noUncheckedIndexedAccess: false,
      exactOptionalPropertyTypes: false,
      noImplicitOverride: false,
      noUnusedLocals: false,
      noUnusedParameters: false,
      erasableSyntaxOnly: false,
      verbatimModuleSyntax: false,
    },
    // Not those of `extends`: they are for the usual check, which knows no globals of SST.
    exclude: [],
    files: [join(directory, ".sst/platform/config.d.ts"), join(root, "sst.config.ts")],
    include: [join(root, "functions/aws/stack/*.ts")],
  }),
);
const output = await new Promise((resolve, reject) => {
  execFile(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "--noEmit", "--pretty", "false", "-p", project], { cwd: root, maxBuffer: 1 << 28 }, (error, stdout, stderr) => {
    // Exit code 2 and 1 mean that errors were found; anything else, that nothing was checked.
    if (error && error.code !== 1 && error.code !== 2) reject(new Error(stderr || String(error)));
    else resolve(stdout);
  });
});

const general = /^error TS/;
const ours = /^(sst\.config\.ts|functions\/aws\/stack\/[^(]*)\(/;
let mine = false;
const found = output.split("\n").filter((line) => {
  // What follows an error, indented, belongs to it.
  if (!line.startsWith(" ")) mine = general.test(line) || ours.test(relative(root, line.startsWith("/") ? line : join(root, line)));
  return mine;
});
if (found.length > 0) console.error(found.join("\n"));
process.exitCode = found.length > 0 ? 1 : 0;
