import { fork } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { FunctionName } from "#functions/aws/environment";
import { percentile } from "#test/bench/load";
import { bundle, entryOf, functionNames } from "#test/support/lambda/bundle";
import { environmentFor } from "#test/support/lambda/environment";

const STARTS = 15;

/** Sizes of the bundles, and what importing each costs in a fresh process, beside a handler that does nothing. */
export async function benchCold(directory: string): Promise<void> {
  const empty = join(directory, "empty");
  await mkdir(empty);
  await writeFile(join(empty, "index.mjs"), "export const handler = async () => {};\n");
  const rows: { name: string; bytes: number; at: string; env: Record<string, string> }[] = [{ name: "empty", bytes: 0, at: empty, env: {} }];
  for (const name of functionNames satisfies readonly FunctionName[]) {
    const at = join(directory, name);
    const { bytes } = await bundle(entryOf(name), join(at, "index.mjs"), { fakes: true });
    rows.push({ name, bytes, at, env: environmentFor(name) });
  }
  console.log("\nCold import of the bundles (median and largest of 15 fresh processes, turn by turn; target 150 ms)");
  const times = new Map<string, number[]>(rows.map(({ name }) => [name, []]));
  for (let turn = 0; turn < STARTS; turn++) {
    for (const { name, at, env } of rows) times.get(name)?.push(await importMs(at, env));
  }
  for (const { name, bytes } of rows) {
    const all = times.get(name) ?? [];
    const size = bytes === 0 ? "" : `${(bytes / 1000).toFixed(0)} KB`;
    console.log(`${name.padEnd(10)} ${size.padStart(7)}   ${percentile(all, 0.5).toFixed(0).padStart(4)} ms  ${Math.max(...all).toFixed(0).padStart(4)} ms`);
  }
}

/** What the runtime measures around the import, in a process of its own. */
function importMs(task: string, env: Record<string, string>): Promise<number> {
  return new Promise((done, fail) => {
    const child = fork("test/support/lambda/runtime.mjs", [], {
      env: { PATH: "/usr/bin:/bin", LAMBDA_TASK_ROOT: task, AWS_REGION: "us-east-1", AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test", AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true", ...env },
    });
    child.once("message", ({ initMs, error }: { initMs?: number; error?: { errorMessage: string } }) => {
      child.kill();
      if (initMs === undefined) fail(new Error(error?.errorMessage));
      else done(initMs);
    });
  });
}
