import type { HttpBindings } from "@hono/node-server";
import { listen, stop } from "#test/support/identity";

export interface Passing {
  method: string;
  path: string;
  headers: Headers;
}

/** What a test puts in the place of an answer; undefined: the service is asked. */
type Trouble = (request: Passing) => Response | Promise<Response> | undefined;

/** Stands in front of a service of a real cloud, keeps what passes, and makes trouble when told to. */
export async function startProxy(target: string) {
  const root = new URL(target).origin;
  const passed: Passing[] = [];
  let trouble: Trouble = () => undefined;
  const { server, port } = await listen(async (request, bindings) => {
    const { pathname, search } = new URL(request.url);
    const passing = { method: request.method, path: pathname + search, headers: request.headers };
    passed.push(passing);
    const made = await trouble(passing);
    if (made) return made;
    const headers = new Headers(request.headers);
    for (const name of ["host", "connection", "content-length"]) headers.delete(name);
    const body = request.method === "GET" || request.method === "HEAD" ? undefined : await request.arrayBuffer();
    const reply = await fetch(root + passing.path, { method: request.method, headers, ...(body && { body }), redirect: "manual" }).catch((error: unknown) => {
      // As the service is away, so is what stands for it: no answer, not an answer of ours.
      (bindings as HttpBindings).incoming.socket.destroy();
      throw error;
    });
    const back = new Headers(reply.headers);
    for (const name of ["connection", "transfer-encoding", "content-encoding"]) back.delete(name);
    return new Response(reply.status === 204 ? null : await reply.arrayBuffer(), { status: reply.status, headers: back });
  });
  return {
    url: target.replace(root, `http://127.0.0.1:${port}`),
    /** All that came since it was last taken. */
    take: () => passed.splice(0),
    trouble: (next: Trouble = () => undefined) => void (trouble = next),
    close: () => stop(server),
  };
}
