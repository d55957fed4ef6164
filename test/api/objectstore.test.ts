import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { createFakeObjects } from "#core/driver/index";
import { createObjectApi } from "#functions/objectstore/app";
import { movableClock } from "#test/support/clock";

const people: Record<string, { projectId: string; roles: string[] }> = {
  ann: { projectId: "p1", roles: ["member"] },
  rita: { projectId: "p1", roles: ["reader"] },
  otto: { projectId: "p2", roles: ["member"] },
  root: { projectId: "ops", roles: ["admin"] },
  none: { projectId: "p1", roles: [] },
};

function rig() {
  const clock = movableClock();
  const store = createFakeObjects(clock);
  const app = createObjectApi({ store, clock, publicUrl: "http://h/objects", verifier: { verify: async (token) => people[token] } });
  const ask = async (line: string, { who = "ann", headers = {}, body }: { who?: string; headers?: Record<string, string>; body?: string | ReadableStream } = {}) => {
    const [method = "", path = ""] = line.split(" ");
    const reply = await app.request(`http://h/objects/v1/${path}`, { method, headers: { ...(who && { "x-auth-token": who }), ...headers }, ...(body !== undefined && { body, duplex: "half" }) });
    return { status: reply.status, headers: reply.headers, text: await reply.text() };
  };
  return { clock, store, ask };
}

test("an object is put, shown, read, and removed by its own project", async () => {
  const { ask } = rig();
  const put = await ask("PUT AUTH_p1/logs/a/b%2Fc%3F", { body: "one two", headers: { "content-type": "text/plain", "x-object-meta-lines": "1" } });
  expect([put.status, put.headers.get("etag")]).toEqual([201, createHash("md5").update("one two").digest("hex")]);
  for (const method of ["GET", "HEAD"]) {
    const seen = await ask(`${method} AUTH_p1/logs/a/b%2Fc%3F`);
    expect([seen.status, seen.text, seen.headers.get("content-length"), seen.headers.get("content-type"), seen.headers.get("x-object-meta-lines"), seen.headers.get("etag")]).toEqual([
      200, method === "GET" ? "one two" : "", "7", "text/plain", "1", put.headers.get("etag"),
    ]);
  }
  expect((await ask("DELETE AUTH_p1/logs/a/b%2Fc%3F")).status).toBe(204);
  for (const line of ["GET", "HEAD", "DELETE"]) expect((await ask(`${line} AUTH_p1/logs/a/b%2Fc%3F`)).status).toBe(404);
});

test.each<[string, string, string, number]>([
  ["no token", "", "GET AUTH_p1/logs/a", 401],
  ["a token that is none", "stranger", "GET AUTH_p1/logs/a", 401],
  ["another project's token", "otto", "GET AUTH_p1/logs/a", 403],
  ["another project's token that lists", "otto", "GET AUTH_p1/logs", 403],
  ["another project's token that writes", "otto", "PUT AUTH_p1/logs/a", 403],
  ["another project's token that removes", "otto", "DELETE AUTH_p1/logs/a", 403],
  ["an administrator of another project", "root", "GET AUTH_p1/logs/a", 403],
  ["a reader who reads", "rita", "GET AUTH_p1/logs/a", 200],
  ["a reader who lists", "rita", "GET AUTH_p1/logs", 200],
  ["a reader who writes", "rita", "PUT AUTH_p1/logs/a", 403],
  ["a reader who removes", "rita", "DELETE AUTH_p1/logs/a", 403],
  ["a token without a role", "none", "GET AUTH_p1/logs/a", 403],
  ["a climb into another account", "ann", "GET AUTH_p1/../AUTH_p2/logs/a", 403],
  ["an encoded climb", "ann", "GET AUTH_p1/%2e%2e/AUTH_p2/logs/a", 403],
  ["an encoded slash in the account", "ann", "GET AUTH_p1%2F..%2FAUTH_p2/logs/a", 403],
  ["an encoded slash in the container", "ann", "GET AUTH_p1/..%2F..%2Fp2/a", 404],
  ["a path of nothing", "ann", "GET ", 403],
])("%s gets what it may", async (_, who, line, status) => {
  const { ask } = rig();
  await ask("PUT AUTH_p1/logs/a", { body: "x" });
  await ask("PUT AUTH_p2/logs/a", { body: "x", who: "otto" });
  expect((await ask(line, { who, ...(line.startsWith("PUT") && { body: "y" }) })).status).toBe(status);
  expect((await ask("GET AUTH_p1/logs/a")).text).toBe("x");
});

test("a container is listed by prefix, page by page, in JSON and in lines, youngest last", async () => {
  const { ask } = rig();
  for (const name of ["i/pg-general/log-2", "i/pg-general/log-1", "i/pg-general_metafile", "j/x"]) await ask(`PUT AUTH_p1/logs/${name}`, { body: name });
  const listed = await ask("GET AUTH_p1/logs?format=json&prefix=i/pg-general/");
  const rows = JSON.parse(listed.text) as { name: string; last_modified: string; bytes: number; hash: string }[];
  expect(rows.map(({ name }) => name)).toEqual(["i/pg-general/log-1", "i/pg-general/log-2"]);
  expect(rows[0]).toEqual({ name: "i/pg-general/log-1", bytes: 18, hash: expect.stringMatching(/^[0-9a-f]{32}$/) as string, content_type: "text/plain;charset=UTF-8", last_modified: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/) as string });
  expect([...rows].sort((a, b) => (a.last_modified < b.last_modified ? -1 : 1)).map(({ name }) => name)).toEqual(["i/pg-general/log-2", "i/pg-general/log-1"]);
  expect((await ask("GET AUTH_p1/logs?limit=2&marker=i/pg-general/log-1")).text).toBe("i/pg-general/log-2\ni/pg-general_metafile\n");
  expect([(await ask("GET AUTH_p1/logs?prefix=none")).status, (await ask("GET AUTH_p1/logs?prefix=none&format=json")).text]).toEqual([204, "[]"]);
  expect([(await ask("GET AUTH_p1/None?format=json")).status, (await ask("GET AUTH_p1/logs?limit=-1")).status, (await ask("HEAD AUTH_p1/logs")).status]).toEqual([404, 400, 204]);
});

test.each<[string, number, string]>([
  ["bytes=0-2", 206, "one"],
  ["bytes=4-", 206, "two"],
  ["bytes=-3", 206, "two"],
  ["bytes=4-99", 206, "two"],
  ["bytes=-99", 206, "one two"],
  ["bytes=7-", 416, ""],
  ["bytes=0-1,3-4", 200, "one two"],
  ["lines=1-2", 200, "one two"],
  ["bytes=5-2", 200, "one two"],
])("the range %s is answered as RFC 9110 says", async (range, status, text) => {
  const { ask } = rig();
  await ask("PUT AUTH_p1/logs/a", { body: "one two" });
  const reply = await ask("GET AUTH_p1/logs/a", { headers: { range } });
  expect([reply.status, reply.text]).toEqual([status, text]);
});

test("X-Delete-After and X-Delete-At end an object; a wrong ETag and a wrong number are refused", async () => {
  const { ask, clock } = rig();
  await ask("PUT AUTH_p1/logs/a", { body: "x", headers: { "x-delete-after": "60" } });
  await ask("PUT AUTH_p1/logs/b", { body: "x", headers: { "x-delete-at": String(clock.now().getTime() / 1000 + 60) } });
  expect((await ask("HEAD AUTH_p1/logs/a")).headers.get("x-delete-at")).toBe(String(clock.now().getTime() / 1000 + 60));
  clock.advance(60_000);
  for (const name of ["a", "b"]) expect((await ask(`GET AUTH_p1/logs/${name}`)).status).toBe(404);
  expect((await ask("PUT AUTH_p1/logs/c", { body: "x", headers: { "x-delete-after": "soon" } })).status).toBe(400);
  expect((await ask("PUT AUTH_p1/logs/c", { body: "x", headers: { "x-delete-at": "1" } })).status).toBe(400);
  expect((await ask("PUT AUTH_p1/logs/c", { body: "x", headers: { etag: "0".repeat(32) } })).status).toBe(422);
  expect((await ask("GET AUTH_p1/logs/c")).status).toBe(404);
  expect((await ask("PUT AUTH_p1/logs/c", { body: "x", headers: { "x-object-meta-long": "y".repeat(5000) } })).status).toBe(400);
  expect((await ask("PUT AUTH_p1/logs/c", { body: "x", headers: { "content-length": String(6 * 1024 ** 3) } })).status).toBe(413);
  expect((await ask("POST AUTH_p1/logs/c", { body: "x" })).status).toBe(404);
});

test("a body that breaks off leaves no object", async () => {
  const { ask } = rig();
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(Buffer.from("half"));
      controller.error(new Error("cut"));
    },
  });
  expect((await ask("PUT AUTH_p1/logs/a", { body })).status).toBe(500);
  await ask("PUT AUTH_p1/logs/b", { body: "x" });
  expect((await ask("GET AUTH_p1/logs/a")).status).toBe(404);
});
