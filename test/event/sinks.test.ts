import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { appendFile, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from "vitest";
import type { Envelope } from "#core/event/drain";
import { setSink } from "#core/log";
import { busSink } from "#functions/aws/events";
import { fileSink } from "#functions/events/file";
import { sinkOf } from "#functions/events/sink";
import { webhookSink } from "#functions/events/webhook";
import { settingsOf } from "#functions/local/settings";
import { temporary } from "#test/support/cluster";

let directory: string;
const lines: string[] = [];
beforeAll(async () => {
  directory = await temporary("coffer-events-");
  const previous = setSink((line) => lines.push(JSON.stringify(line)));
  return () => void setSink(previous);
});
afterEach(() => void lines.splice(0));
afterAll(() => rm(directory, { recursive: true, force: true }));

const events = (...names: string[]): Envelope[] =>
  names.map((name, at) => ({ message_id: `id-${name}`, publisher_id: "api", event_type: `dbaas.${name}.start`, priority: "INFO", payload: { instance_id: name }, timestamp: "2026-01-01 00:00:00.000000", stream: name, sequence: at }));
const never = () => new AbortController().signal;

interface Request {
  headers: Record<string, string | string[] | undefined>;
  body: string;
}
/** A real HTTP server; `answer` says with which status, and what. */
async function receiver(answer: (request: Request) => { status: number; body?: string; headers?: Record<string, string> } | undefined) {
  const seen: Request[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const one = { headers: request.headers, body: Buffer.concat(parts).toString() };
      seen.push(one);
      const said = answer(one);
      if (said) response.writeHead(said.status, said.headers ?? {}).end(said.body ?? "");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { seen, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` };
}

test("a file gets a line each, for its owner alone; a torn line stays alone, and a long file makes room", async () => {
  const path = join(directory, "events.jsonl");
  expect(await fileSink(path).deliver(events("a", "b"), never())).toEqual(["id-a", "id-b"]);
  await appendFile(path, '{"message_id":"to');
  await fileSink(path, 100).deliver(events("c"), never());
  const text = await readFile(`${path}.1`, "utf8");
  expect(text.split("\n").filter((line) => line.endsWith("}")).map((line) => (JSON.parse(line) as Envelope).message_id)).toEqual(["id-a", "id-b", "id-c"]);
  expect((await stat(`${path}.1`)).mode & 0o777).toBe(0o600);
  await fileSink(path).deliver(events("d"), never());
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual(events("d")[0]);
});

test("a webhook gets each event by itself, signed; what it answers with 500, or a redirect, was not taken, the others were", async () => {
  const hook = await receiver(({ body }) => (body.includes('"b"') ? { status: 500 } : body.includes('"c"') ? { status: 302, headers: { location: "/elsewhere" } } : { status: 204 }));
  const taken = await webhookSink({ url: hook.url, secret: "a secret of 16 or more" }).deliver(events("a", "b", "c", "d"), never());
  expect(taken.sort()).toEqual(["id-a", "id-d"]);
  expect(hook.seen).toHaveLength(4);
  for (const { headers, body } of hook.seen) {
    const { message_id } = JSON.parse(body) as Envelope;
    expect(headers["webhook-id"]).toBe(message_id);
    const signed = createHmac("sha256", "a secret of 16 or more").update(`${message_id}.${String(headers["webhook-timestamp"])}.${body}`).digest("base64");
    expect(headers["webhook-signature"]).toBe(`v1,${signed}`);
  }
  expect(lines.filter((line) => line.includes("took an event not"))).toHaveLength(2);
});

test("a webhook that is away, or does not answer, took nothing, and holds nobody up for longer than it was given", async () => {
  expect(await webhookSink({ url: "http://127.0.0.1:1/" }).deliver(events("a"), never())).toEqual([]);
  const mute = await receiver(() => undefined);
  const given = new AbortController();
  const delivery = webhookSink({ url: mute.url }).deliver(events("a", "b"), given.signal);
  await expect.poll(() => mute.seen.length).toBe(2);
  given.abort();
  expect(await delivery).toEqual([]);
});

test("a bus gets them ten at a time by the real client; an entry that it refuses was not taken", async () => {
  const bus = await receiver(({ body }) => {
    const { Entries } = JSON.parse(body) as { Entries: { DetailType: string }[] };
    const answers = Entries.map(({ DetailType }) => (DetailType === "dbaas.e7.start" ? { ErrorCode: "ThrottlingException" } : { EventId: "e" }));
    return { status: 200, body: JSON.stringify({ FailedEntryCount: 0, Entries: answers }), headers: { "content-type": "application/x-amz-json-1.1" } };
  });
  const client = new EventBridgeClient({ endpoint: bus.url.replace("/hook", ""), region: "us-east-1", credentials: { accessKeyId: "a", secretAccessKey: "b" } });
  onTestFinished(() => client.destroy());
  const many = events(...Array.from({ length: 23 }, (_, n) => `e${n}`));
  const taken = await busSink(client, "coffer-bus").deliver(many, never());
  expect(taken).toEqual(many.filter(({ stream }) => stream !== "e7").map(({ message_id }) => message_id));
  expect(bus.seen.map(({ headers, body }) => [headers["x-amz-target"], (JSON.parse(body) as { Entries: unknown[] }).Entries.length])).toEqual([["AWSEvents.PutEvents", 10], ["AWSEvents.PutEvents", 10], ["AWSEvents.PutEvents", 3]]);
  const [first] = (JSON.parse(bus.seen[0]?.body ?? "") as { Entries: Record<string, unknown>[] }).Entries;
  expect(first).toMatchObject({ EventBusName: "coffer-bus", Source: "coffer", DetailType: "dbaas.e0.start", Time: 1_767_225_600 });
  expect(JSON.parse(String(first?.Detail))).toEqual(many[0]);
});

test("a bus that is away took nothing, and says why", async () => {
  const client = new EventBridgeClient({ endpoint: "http://127.0.0.1:1", region: "us-east-1", credentials: { accessKeyId: "a", secretAccessKey: "b" }, maxAttempts: 1 });
  onTestFinished(() => client.destroy());
  await expect(busSink(client, "b").deliver(events("a"), never())).rejects.toThrow("ECONNREFUSED");
});

test.each(["events.jsonl", "ftp://example.org/", "http//x", ""])("a setting of '%s' for where events go is refused with the rule", (text) => {
  expect(() => settingsOf({ COFFER_EVENTS: text }, false)).toThrow("COFFER_EVENTS: must be 'off', an http or https URL, or an absolute path");
});

test("where events go: nowhere if it is off or not said, else a file or a webhook", () => {
  expect([sinkOf({}), sinkOf({ COFFER_EVENTS: "off" })]).toEqual([undefined, undefined]);
  expect([sinkOf({ COFFER_EVENTS: "/x" }), sinkOf({ COFFER_EVENTS: "https://x.example" })].every((one) => one !== undefined)).toBe(true);
});
