import { runtime } from "@pulumi/pulumi";
import mocks from "@pulumi/pulumi/runtime/mocks.js";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { answer, stateOf } from "./cloud.mjs";

/** How Pulumi marks a secret value on the wire. */
const SIGNATURE = "4dabf18193072939515e22adb298388d";

/** Values without their marks; `seen` is called where one was a secret. */
function plain(value, seen) {
  if (Array.isArray(value)) return value.map((one) => plain(one, seen));
  if (typeof value !== "object" || value === null) return value;
  if (SIGNATURE in value) {
    seen();
    return plain(value.value, seen);
  }
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one, seen)]));
}

/** Evaluates a configuration as SST does, with a cloud that accepts everything; prints the resources once nothing is left to settle. */
export async function evaluate({ run, config }) {
  const resources = [];
  await serve();

  // What mocks are not told: how a resource is bound to others.
  const register = mocks.MockMonitor.prototype.registerResource;
  mocks.MockMonitor.prototype.registerResource = function (request, callback) {
    const dependencies = request.getDependenciesList().map((urn) => urn.split("::").at(-1));
    const bound = { dependencies, protect: request.getProtect(), retain: request.getRetainondelete() };
    return register.call(this, request, (error, response) => {
      const made = resources.findLast(({ type, name }) => type === request.getType() && name === request.getName());
      if (made) Object.assign(made, bound);
      callback(error, response);
    });
  };
  await runtime.setMocks(
    {
      newResource({ type, name, inputs }) {
        const secrets = [];
        const known = Object.fromEntries(Object.entries(inputs).map(([key, value]) => [key, plain(value, () => secrets.push(key))]));
        resources.push({ type, name, inputs: known, secrets: [...new Set(secrets)] });
        return { id: `${name}-id`, state: { ...known, ...stateOf(type, name, known) } };
      },
      call: ({ token, inputs }) => answer(token, plain(inputs, () => {})),
    },
    "coffer",
    globalThis.$stage,
  );

  const app = config.app({ stage: globalThis.$stage });
  Object.assign(globalThis.$app, { ...app, stage: globalThis.$stage });
  await runtime.runInPulumiStack(() => run(() => config.run()));
  process.once("beforeExit", () => process.stdout.write(JSON.stringify({ app, resources })));
}

/** What components ask of the SST binary that evaluates them. */
async function serve() {
  const out = join(globalThis.$cli.paths.work, "bundle");
  await mkdir(out, { recursive: true });
  await writeFile(join(out, "index.mjs"), "");
  const methods = {
    "Provider.Aws.Bootstrap": () => ({ asset: "assets", state: "state", assetEcrUrl: "", assetEcrRegistryId: "" }),
    "Runtime.Build": ({ handler }) => ({
      handler: "index.handler",
      out,
      errors: existsSync(handler.replace(/\.handler$/, ".ts")) ? [] : [`there is no ${handler}`],
      sourcemaps: [],
    }),
  };
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const part of request) text += part;
    const { method, params } = JSON.parse(text);
    const work = methods[method];
    response.end(JSON.stringify(work ? { result: work(params[0]) } : { error: `rpc: can't find ${method}` }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  // A request keeps the process alive by its own connection.
  server.unref();
  process.env.SST_SERVER = `http://127.0.0.1:${server.address().port}`;
}
