import { SendMessageBatchCommand, SQSClient } from "@aws-sdk/client-sqs";
import { createHash, createHmac } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { sendSigned } from "#functions/aws/queue";
import { callerOf, createSigned } from "#functions/aws/signed";

const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const environment = { AWS_REGION: "eu-central-1", AWS_ACCESS_KEY_ID: "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: "a session/token==" };
const entries = [{ Id: "1", MessageBody: "größer" }];

interface Seen {
  request: IncomingMessage;
  body: string;
}
const seen: Seen[] = [];
/** What the endpoint answers next; 0 = it hangs up without an answer. */
let replies: [number, object][] = [];
let url: string;
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    seen.push({ request, body: Buffer.concat(chunks).toString() });
    const [status, body] = replies.shift() ?? [200, {}];
    if (status === 0) request.socket.destroy();
    else response.writeHead(status, { "content-type": "application/x-amz-json-1.0" }).end(JSON.stringify(body));
  });
});
beforeAll(async () => {
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  seen.length = 0;
  replies = [];
});
afterAll(() => server.close());

const last = (): Seen => {
  const found = seen.at(-1);
  if (!found) throw new Error("nothing arrived");
  return found;
};
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();

/** The signature that a server computes of what it received (Signature Version 4, "Create a signed request"), and the one that came. */
function signatures({ request, body }: Seen, service: string): [computed: string, sent: string] {
  const authorization = request.headers.authorization ?? "";
  const signed = /SignedHeaders=([^,]+)/.exec(authorization)?.[1] ?? "";
  const date = String(request.headers["x-amz-date"]);
  const path = (request.url ?? "").split("/").map((part) => encodeURIComponent(part)).join("/");
  const headers = signed.split(";").map((name) => `${name}:${String(request.headers[name]).trim()}\n`).join("");
  const canonical = [request.method, path, "", headers, signed, sha256(body)].join("\n");
  const scope = [date.slice(0, 8), "eu-central-1", service, "aws4_request"];
  const key = scope.reduce<Buffer | string>((key, part) => hmac(key, part), `AWS4${secret}`);
  const computed = hmac(key, ["AWS4-HMAC-SHA256", date, scope.join("/"), sha256(canonical)].join("\n")).toString("hex");
  expect(authorization).toContain(`Credential=AKIDEXAMPLE/${scope.join("/")}`);
  return [computed, /Signature=(\w+)/.exec(authorization)?.[1] ?? ""];
}

const queue = () => sendSigned(callerOf({ ...environment, AWS_ENDPOINT_URL_SQS: url }), "https://sqs.eu-central-1.amazonaws.com/123456789012/operations");
const forever = new AbortController().signal;

test("a batch carries a signature, and the body, that the SDK's own request carries", async () => {
  const [sdk, ours] = [{}, {}] as { computed?: string; body?: unknown; headers?: unknown }[];
  const client = new SQSClient({ endpoint: url, region: environment.AWS_REGION, useQueueUrlAsEndpoint: false, md5: false, credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: secret, sessionToken: environment.AWS_SESSION_TOKEN } });
  const look = (at: { body?: unknown; headers?: unknown }) => {
    const [computed, sent] = signatures(last(), "sqs");
    expect(sent).toBe(computed);
    const { "x-amz-target": target, "content-type": type, "x-amz-security-token": token } = last().request.headers;
    Object.assign(at, { body: JSON.parse(last().body) as unknown, headers: { target, type, token }, url: last().request.url });
  };
  await client.send(new SendMessageBatchCommand({ QueueUrl: "https://sqs.eu-central-1.amazonaws.com/123456789012/operations", Entries: entries }));
  look(sdk ?? {});
  await queue()(entries, forever);
  look(ours ?? {});
  expect(ours).toEqual(sdk);
  client.destroy();
});

test("a path with '@' and '=' is signed as it is received", async () => {
  await createSigned("execute-api", callerOf(environment), { timeoutMs: 5000, tries: 1 })({ url: `${url}/live/@connections/${encodeURIComponent("L0SM9cOFvHcCIhw=")}`, body: "!" });
  const [computed, sent] = signatures(last(), "execute-api");
  expect([last().request.method, last().request.url, last().body, sent]).toEqual(["POST", "/live/@connections/L0SM9cOFvHcCIhw%3D", "!", computed]);
});

test("a batch is tried three times when nothing comes back, or 429 or 5xx; a refusal is told at once", async () => {
  replies = [[0, {}], [503, {}], [200, { Successful: [{ Id: "1" }] }]];
  expect(await queue()(entries, forever)).toEqual({ Successful: [{ Id: "1" }] });
  replies = [[500, {}], [429, {}], [500, { message: "still away" }], [200, {}]];
  await expect(queue()(entries, forever)).rejects.toThrow(/SendMessageBatch: 500 .*still away/);
  replies = [[403, { message: "no such right" }]];
  await expect(queue()(entries, forever)).rejects.toThrow(/SendMessageBatch: 403 .*no such right/);
  expect(seen).toHaveLength(7);
});

test("whoever waits no longer ends the call", async () => {
  const over = new AbortController();
  over.abort(new Error("no longer wanted"));
  await expect(queue()(entries, over.signal)).rejects.toThrow("no longer wanted");
});

test("a function without credentials is refused at its cold start, naming them and not their values", () => {
  expect(() => callerOf({ ...environment, AWS_SECRET_ACCESS_KEY: "" })).toThrow(/^The caller of AWS is not configured\. AWS_SECRET_ACCESS_KEY: /);
});
