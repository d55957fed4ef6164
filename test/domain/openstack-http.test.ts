import { createServer, type Server, type Socket } from "node:net";
import { Hono } from "hono";
import { afterEach, expect, test } from "vitest";
import { createHttp, type HttpOptions } from "#core/openstack/http";
import { freePort } from "#functions/node/listen";
import { listen, stop } from "#test/support/identity";

const close: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const one of close.splice(0)) await one();
});

/** Pauses are counted, not waited for. */
function client(change: Partial<HttpOptions> = {}) {
  const pauses: number[] = [];
  const send = createHttp({ service: "volume service", reason: "volume", timeoutMs: 5_000, pauses: { sleep: async (ms) => void pauses.push(ms) }, ...change });
  return { send, pauses };
}

/** Answers with these statuses, then with 200; counts. */
async function service(answers: ({ status: number; retry?: string } | undefined)[]) {
  const seen: string[] = [];
  const app = new Hono().all("*", (c) => {
    const next = answers[seen.length];
    seen.push(c.req.method);
    return new Response(`{"at":${seen.length}}`, { status: next?.status ?? 200, headers: next?.retry === undefined ? {} : { "retry-after": next.retry } });
  });
  const { server, port } = await listen((request) => app.fetch(request));
  close.push(() => stop(server));
  return { url: `http://127.0.0.1:${port}/x`, seen };
}

test("what a balancer answers for a moment is asked again, up to three times in all, with pauses that grow", async () => {
  const twice = await service([{ status: 503 }, { status: 502 }]);
  const { send, pauses } = client();
  expect(await send(twice.url)).toMatchObject({ status: 200, body: { at: 3 } });
  expect(pauses).toHaveLength(2);
  expect(pauses[0]).toBeLessThanOrEqual(100);
  expect(pauses[1]).toBeGreaterThanOrEqual(100);
  const always = await service([503, 503, 504, 503].map((status) => ({ status })));
  expect(await client().send(always.url)).toMatchObject({ status: 504, body: { at: 3 } });
});

test("a service's own answer, and any to what may not be done twice, is not asked for again", async () => {
  for (const status of [400, 401, 404, 409, 429, 500]) {
    const { url, seen } = await service([{ status }]);
    expect((await client().send(url)).status).toBe(status);
    expect(seen).toHaveLength(1);
  }
  const { url, seen } = await service([{ status: 503 }, { status: 503 }]);
  expect((await client().send(url, { method: "POST", body: "{}" })).status).toBe(503);
  expect((await client().send(url, { method: "POST", body: "{}", repeatable: true })).status).toBe(200);
  expect(seen).toEqual(["POST", "POST", "POST"]);
});

test("a Retry-After is kept to where there is time for it, and else left to the caller", async () => {
  const soon = await service([{ status: 503, retry: "2" }]);
  const { send, pauses } = client();
  expect((await send(soon.url)).status).toBe(200);
  expect(pauses).toEqual([2000]);
  const late = await service([{ status: 503, retry: "30" }]);
  expect(await client().send(late.url)).toMatchObject({ status: 503, body: { at: 1 } });
});

/** Answers the first request on a connection, and ends every other connection or request without a word. */
async function dropper(good: (connection: number, request: number) => boolean) {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    const connection = ++connections;
    let requests = 0;
    sockets.add(socket);
    socket.on("error", () => sockets.delete(socket));
    socket.on("data", () => {
      if (!good(connection, ++requests)) return socket.destroy();
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  close.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((done) => server.close(done));
  });
  const address = server.address();
  return { url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/`, connections: () => connections };
}

test("a kept connection that the other side has ended is no failure, unless the request may not be done twice", async () => {
  const { url, connections } = await dropper((_, request) => request === 1);
  const { send } = client();
  for (let time = 0; time < 3; time++) expect((await send(url)).status).toBe(200);
  expect(connections()).toBe(3);
  await expect(send(url, { method: "POST", body: "{}" })).rejects.toMatchObject({ code: "serviceUnavailable", reason: "volume.unreachable" });
});

test("where nobody listens the cause is told, and a POST that was never sent is sent again", async () => {
  const { send, pauses } = client();
  const port = await freePort();
  await expect(send(`http://127.0.0.1:${port}/`, { method: "POST" })).rejects.toMatchObject({
    message: "The volume service does not answer.",
    cause: { code: "ECONNREFUSED", message: `connect ECONNREFUSED 127.0.0.1:${port}` },
  });
  expect(pauses).toHaveLength(2);
});

test("all attempts together end with the time-out", async () => {
  const { server, port } = await listen(() => new Promise<Response>(() => {}));
  close.push(() => stop(server));
  await expect(client({ timeoutMs: 50 }).send(`http://127.0.0.1:${port}/`)).rejects.toMatchObject({ code: "serviceUnavailable", cause: { name: "TimeoutError" } });
});
