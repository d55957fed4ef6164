import type { Call } from "#core/driver/resource";
import type { FakeCloud } from "#core/driver/fake/index";
import { AppError } from "#core/error";
import { listen, stop } from "#test/support/identity";

interface Asked {
  verb: string;
  /** Of the process that asks. */
  pid: number;
  /** The name of what is created; else the first argument, if it is an id. */
  what: string;
}

/**
 * One fake cloud for several processes, by HTTP. `meanwhile` is told of every call whose effect is there and whose
 * answer has not been sent. What was created, by name, is in `created`.
 */
export async function serveCloud(cloud: FakeCloud, meanwhile: (asked: Asked) => void) {
  const created: string[] = [];
  const kinds = { server: cloud.compute, volume: cloud.volumes, port: cloud.network } as unknown as Record<string, Record<string, (...args: unknown[]) => Promise<unknown>>>;
  const { server, port } = await listen(async (request) => {
    const verb = new URL(request.url).pathname.slice(1);
    const [kind = "", name = ""] = verb.split(".");
    const args = (await request.json()) as unknown[];
    const call: Call = { signal: AbortSignal.timeout(15_000) };
    try {
      const result = await kinds[kind]?.[name]?.(...args, call);
      const what = name === "create" ? (args[0] as { name: string }).name : String(args[0]);
      if (name === "create") created.push(what);
      meanwhile({ verb, pid: Number(request.headers.get("x-pid")), what });
      return Response.json({ result });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const { code, message, reason, final } = error;
      return Response.json({ error: { code, message, reason, final } });
    }
  });
  return { url: `http://127.0.0.1:${port}`, created, close: () => stop(server) };
}
