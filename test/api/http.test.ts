import { serve, type ServerType } from "@hono/node-server";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startApi, type Api } from "#test/api/rig";

let api: Api;
let server: ServerType;
let port: number;
beforeAll(async () => {
  api = await startApi();
  await new Promise<void>((ready) => {
    server = serve({ fetch: api.app.fetch, hostname: "127.0.0.1", port: 0 }, () => ready());
  });
  port = (server.address() as AddressInfo).port;
});
afterAll(async () => {
  await new Promise((closed) => server.close(closed));
  await api.close();
});

/** A request as bytes on a socket: nothing normalises the path before the server sees it. */
function send(method: string, path: string, chunks: string[] = [], headers: Record<string, string> = {}) {
  return new Promise<{ status: number; headers: Record<string, unknown>; text: string }>((done, failed) => {
    const outgoing = request({ host: "127.0.0.1", port, method, path, headers: { "x-auth-token": "member", ...headers } }, (reply) => {
      let text = "";
      reply.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      reply.on("end", () => done({ status: reply.statusCode ?? 0, headers: reply.headers, text }));
    });
    outgoing.on("error", failed);
    for (const chunk of chunks) outgoing.write(chunk);
    outgoing.end();
  });
}

test("an empty success is zero bytes of application/json on the wire", async () => {
  const id = await api.active();
  const body = JSON.stringify({ instance: { name: "renamed" } });
  const reply = await send("PUT", `/v1.0/p1/instances/${id}`, [body], { "content-type": "application/json" });
  expect([reply.status, reply.text, reply.headers["content-length"], reply.headers["content-type"]]).toEqual([202, "", "0", "application/json"]);
});

test("links name the host and scheme the client used", async () => {
  const id = await api.active();
  const reply = await send("GET", `/v1.0/p1/instances/${id}`, [], { host: "db.example" });
  expect(reply.text).toContain(`"http://db.example/v1.0/p1/instances/${id}"`);
});

test.each(["a/b", "100%", "%2e", "a?b", "a#b", "a.b", "Zoë", "a@b"])("a user called %s is found through a real server", async (name) => {
  const id = await api.active({ users: [{ name, password: "p1" }] });
  const reply = await send("GET", `/v1.0/p1/instances/${id}/users/${encodeURIComponent(name)}`);
  expect([reply.status, JSON.parse(reply.text)]).toEqual([200, { user: { name, host: "%", databases: [] } }]);
});

test("a dot that a client encoded is a dot", async () => {
  const id = await api.active({ users: [{ name: "a.b", password: "p1" }] });
  expect((await send("GET", `/v1.0/p1/instances/${id}/users/a%2eb`)).status).toBe(200);
});

test.each<[string, number]>([
  ["/v1.0/p1/instances/%00", 400],
  ["/v1.0/p1/instances/%FF", 400],
  ["/v1.0/p1/instances/%zz", 400],
  ["/v1.0/p1//instances", 404],
  ["/v1.0/p1/instances/", 404],
  ["//v1.0/p1/instances", 404],
  ["/v1.0/p1/instances?limit=%zz", 400],
])("GET %s answers %i", async (path, status) => {
  expect((await send("GET", path)).status).toBe(status);
});

test("a body without an announced length is refused above 1 MiB, and its connection serves on", async () => {
  const chunks = Array.from({ length: 3 }, () => "x".repeat(1 << 19));
  for (let times = 0; times < 3; times++) {
    const reply = await send("POST", "/v1.0/p1/instances", chunks, { "content-type": "application/json" });
    expect(reply.status).toBe(413);
  }
  expect((await send("GET", "/v1.0/p1/instances")).status).toBe(200);
});

test("HEAD is a 404, as any wrong method", async () => {
  expect((await send("HEAD", "/v1.0/p1/instances")).status).toBe(404);
});
