import { AppError, type Code } from "#core/error";
import type { Call } from "#core/driver/resource";
import type { Drivers } from "#functions/aws/cloud";

/** Stands for `functions/aws/cloud` in bundles of tests: the cloud of the test's own process, by HTTP. */
export function openCloud(): Drivers {
  const of = (kind: string) => {
    const verb = (name: string) => (...args: unknown[]) => ask(`${kind}.${name}`, args.slice(0, -1), (args.at(-1) as Call).signal);
    return Object.fromEntries(["create", "get", "find", "list", "remove", "resize", "reboot", "rebuild", "migrate", "setIngress"].map((name) => [name, verb(name)]));
  };
  return { compute: of("server"), volumes: of("volume"), network: of("port") } as unknown as Drivers;
}

async function ask(verb: string, args: unknown[], signal: AbortSignal): Promise<unknown> {
  const reply = await fetch(`${process.env.COFFER_TEST_CLOUD}/${verb}`, { method: "POST", body: JSON.stringify(args), headers: { "x-pid": String(process.pid) }, signal });
  const { result, error } = (await reply.json()) as { result?: unknown; error?: { code: Code; message: string; reason: string; final: boolean } };
  if (error) throw new AppError(error.code, error.message, error);
  return dated(result);
}

function dated(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(dated);
  if (typeof value !== "object" || value === null) return value;
  return "createdAt" in value ? { ...value, createdAt: new Date(String(value.createdAt)) } : value;
}
