import type { APIGatewayProxyStructuredResultV2 } from "aws-lambda";
import { createPrivateKey, generateKeyPairSync, randomUUID, sign, X509Certificate } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { enrolmentToken } from "#core/id";
import { headers as names, PROTOCOL, signedText } from "#core/guest/protocol";
import { until } from "#test/support/cluster";
import { act } from "#test/support/guests";
import { httpEvent, type HttpAsk } from "#test/support/lambda/events";
import { createCloud, type Cloud, type Started } from "#test/lambda/rig";

let cloud: Cloud;
let api: Started;
let token: string;
let project: string;
beforeAll(async () => {
  cloud = await createCloud();
  api = await cloud.start("api", { COFFER_MAX_INSTANCES: "100", COFFER_MAX_VOLUMES_GB: "100", COFFER_HTTP_RATE_PER_MINUTE: "100000" });
  ({ token, project } = await cloud.login("demo"));
});
afterAll(() => cloud.close());

interface Reply {
  status: number;
  headers: Record<string, unknown>;
  text: string;
}

/** A request as API Gateway would hand it over; what the gateway refuses itself has status 400 and no text. */
async function ask(on: Started, wish: HttpAsk): Promise<Reply> {
  const event = httpEvent(wish);
  if (!event) return { status: 400, headers: {}, text: "" };
  const { statusCode = 0, headers = {}, body = "", isBase64Encoded } = await on.invoke<APIGatewayProxyStructuredResultV2>(event);
  expect(isBase64Encoded).toBe(false);
  return { status: statusCode, headers, text: body };
}

const json = { "content-type": "application/json" };
const tenant = (method: string, path: string, body?: object) =>
  ask(api, {
    method,
    target: `/v1.0/${project}${path}`,
    headers: { "x-auth-token": token, ...(body && json) },
    ...(body && { body: JSON.stringify(body) }),
  });

async function create(change: object = {}): Promise<string> {
  const reply = await tenant("POST", "/instances", { instance: { name: "orders", flavorRef: "1", volume: { size: 1 }, ...change } });
  if (reply.status !== 200) throw new Error(reply.text);
  return (JSON.parse(reply.text) as { instance: { id: string } }).instance.id;
}

/** Its create done, its guest enrolled; the guest does what waits for it. */
async function active(change: object = {}): Promise<string> {
  const id = await create(change);
  await cloud.db.owner`update operation set outcome = 'done', finished_at = now() where instance_id = ${id}`;
  await cloud.db.owner`insert into guest (instance_id, project_id, generation) select id, project_id, generation from instance where id = ${id}`;
  await cloud.db.owner`update instance set task = 'NONE', server_state = 'ACTIVE', address = '127.1.2.3' where id = ${id}`;
  await guestActs(id);
  return id;
}
const guestActs = (id: string) => cloud.asSystem(() => act({ instanceId: id, projectId: project, generation: 1 }));

test("a create through the gateway commits, and its message reaches the queue", async () => {
  const id = await create({ name: "first" });
  const [row] = await cloud.db.owner`select kind, outcome from operation where instance_id = ${id}`;
  expect(row).toEqual({ kind: "create", outcome: null });
  const [sent] = await cloud.db.owner`select sent_at from outbox where payload->>'operationId' = (select id::text from operation where instance_id = ${id})`;
  expect(sent?.sent_at).toBeInstanceOf(Date);
});

test("links name the gateway's own host and https", async () => {
  const id = await create();
  const { text } = await tenant("GET", `/instances/${id}`);
  expect(text).toContain(`"https://sjzepsqsu5.execute-api.us-west-2.amazonaws.com/v1.0/${project}/instances/${id}"`);
});

test("a body that arrives in base64 is the same body", async () => {
  const body = Buffer.from(JSON.stringify({ instance: { name: "größer 数据", flavorRef: "1", volume: { size: 1 } } }));
  const reply = await ask(api, { method: "POST", target: `/v1.0/${project}/instances`, headers: { "x-auth-token": token, ...json }, body });
  expect(reply.status).toBe(200);
  expect(reply.text).toContain("größer 数据");
});

test("headers that were sent twice arrive joined, and neither value counts as a token", async () => {
  const reply = await ask(api, { method: "GET", target: `/v1.0/${project}/instances`, headers: { "x-auth-token": `${token},${token}` } });
  expect(reply.status).toBe(401);
  const good = await ask(api, { method: "GET", target: `/v1.0/${project}/instances`, headers: { "x-auth-token": token, accept: "application/json,*/*" } });
  expect(good.status).toBe(200);
});

test("a GET with a body is answered like one without", async () => {
  const reply = await ask(api, { method: "GET", target: `/v1.0/${project}/instances`, headers: { "x-auth-token": token, ...json }, body: "{}" });
  expect(reply.status).toBe(200);
});

test("a query keeps its encoding and its repeated keys", async () => {
  const reply = await tenant("GET", "/instances?limit=1&marker=a%20b%2Bc&limit=2");
  expect([reply.status, reply.text]).toEqual([400, expect.stringContaining("marker")]);
});

// What the gateway hands over decoded reaches whom it names: also beside a shorter name that a wrong reading would hit.
test.each(["a#b", "a.b", "a b", "a@b", "@a", "Zoë", "数据1", "a/b", "x/y/z", "a\"b", "a&limit=1", "a+b", "..x", "a;b=c"])("a user called %s is found, changed and deleted behind the gateway", async (name) => {
  const id = await active({ users: [{ name, password: "p1" }, { name: "a", password: "p1" }, { name: "x", password: "p1" }] });
  const path = `/instances/${id}/users/${encodeURIComponent(name)}`;
  const shown = await tenant("GET", path);
  expect([shown.status, JSON.parse(shown.text)]).toEqual([200, { user: { name, host: "%", databases: [] } }]);
  expect((await tenant("GET", `${path}/databases`)).text).toBe('{"databases":[]}');
  expect((await tenant("PUT", path, { user: { password: "p2" } })).status).toBe(202);
  expect((await tenant("PUT", `${path}/update`, { user: { password: "p3" } })).status).toBe(202);
  expect((await tenant("DELETE", path)).status).toBe(202);
  const jobs = await cloud.db.owner<{ spec: { name: string } }[]>`select spec from guest_job where instance_id = ${id} and kind in ('update_user', 'delete_user') order by seq`;
  expect(jobs.map(({ spec }) => spec.name)).toEqual([name, name, name]);
});

test.each([["a/b", "c/d"], ["a@b", "o#1"], ["databases", "up date"]])("a grant of user %s on database %s is taken back behind the gateway", async (name, database) => {
  const id = await active({ databases: [{ name: database }], users: [{ name, password: "p1", databases: [{ name: database }] }] });
  const revoked = tenant("DELETE", `/instances/${id}/users/${encodeURIComponent(name)}/databases/${encodeURIComponent(database)}`);
  await until(async () => (await cloud.db.owner`select 1 from guest_job where instance_id = ${id} and kind = 'revoke'`).length > 0, "the job");
  await guestActs(id);
  const reply = await revoked;
  expect([reply.status, reply.text]).toEqual([202, ""]);
  expect((await tenant("GET", `/instances/${id}/users/${encodeURIComponent(name)}`)).text).toContain('"databases":[]');
});

test.each(["db/1", "a.b", "o#1", "Zoë"])("a database called %s is deleted behind the gateway", async (name) => {
  const id = await active({ databases: [{ name }, { name: "db" }] });
  expect((await tenant("DELETE", `/instances/${id}/databases/${encodeURIComponent(name)}`)).status).toBe(202);
  const [job] = await cloud.db.owner`select spec from guest_job where instance_id = ${id} and kind = 'delete_database'`;
  expect(job?.spec).toEqual({ name });
});

test.each(["what?", "100%", "a%2eb", "a/databases", "a/update/b", "/a", "a/", "a/../b"])("the name %s, which the gateway would change, is refused where it is given", async (name) => {
  const id = await active();
  const refusals = [
    await tenant("POST", "/instances", { instance: { name: "n", flavorRef: "1", volume: { size: 1 }, users: [{ name, password: "p" }] } }),
    await tenant("POST", "/instances", { instance: { name: "n", flavorRef: "1", volume: { size: 1 }, databases: [{ name }] } }),
    await tenant("POST", `/instances/${id}/users`, { users: [{ name, password: "p" }] }),
    await tenant("POST", `/instances/${id}/databases`, { databases: [{ name }] }),
    await tenant("PUT", `/instances/${id}/users/a`, { user: { name } }),
  ];
  for (const { status, text } of refusals) expect([status, text]).toEqual([400, expect.stringContaining("is not allowed in this installation")]);
});

test("a function URL hands paths over as they were sent", async () => {
  const id = await active({ users: [{ name: "a b", password: "p1" }] });
  const event = httpEvent({ method: "GET", target: "/", headers: { "x-auth-token": token } });
  if (!event) throw new Error("no event");
  event.requestContext.domainName = "abc123.lambda-url.us-east-1.on.aws";
  const shown = await api.invoke<APIGatewayProxyStructuredResultV2>({ ...event, rawPath: `/v1.0/${project}/instances/${id}/users/a%20b` });
  expect(shown.statusCode).toBe(200);
});

test("an environment that was frozen answers, though its connection was cut meanwhile", async () => {
  await tenant("GET", "/instances");
  api.freeze();
  api.way.cut();
  await until(() => api.way.open() === 0, "the connection to be cut").finally(() => api.thaw());
  expect((await tenant("GET", "/instances")).status).toBe(200);
});

test("an agent enrols and syncs through the guest endpoint, each request signed", async () => {
  const guest = await cloud.start("guest", { COFFER_GUEST_POLL_SECONDS: "7" });
  const id = await create();
  const secret = enrolmentToken(Buffer.alloc(32, 7), id, 1);
  await cloud.db.owner`update instance set address = '127.1.2.3' where id = ${id}`;
  await cloud.db.owner`insert into guest (instance_id, project_id, generation, token_hash, token_expires_at)
    values (${id}, ${project}, 1, sha256(${Buffer.from(secret)}), now() + interval '1 hour')`;
  const keys = generateKeyPairSync("ed25519");
  const tls = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const der = (key: typeof keys.publicKey) => key.export({ format: "der", type: "spki" }).toString("base64");
  const enrolment = { protocol: PROTOCOL, token: secret, instanceId: id, generation: 1, publicKey: der(keys.publicKey), tlsPublicKey: der(tls.publicKey) };
  const enrolled = await ask(guest, { method: "POST", target: "/guest/v1/enrol", headers: json, body: JSON.stringify(enrolment) });
  expect([enrolled.status, enrolled.text]).toEqual([200, expect.stringContaining("certificate")]);
  const { certificate } = JSON.parse(enrolled.text) as { certificate: string };
  expect(new X509Certificate(certificate).verify(new X509Certificate(cloud.authority.certificate).publicKey)).toBe(true);

  const body = JSON.stringify({ protocol: PROTOCOL, report: { serviceStatus: "building", agentVersion: "test" }, results: [], holdSeconds: 20 });
  const sync = (sequence: number, path = "/guest/v1/sync") => {
    const signature = sign(null, Buffer.from(signedText(path, id, 1, sequence, body)), createPrivateKey(keys.privateKey.export({ format: "pem", type: "pkcs8" })));
    const signed = { [names.instance]: id, [names.generation]: "1", [names.sequence]: String(sequence), [names.signature]: signature.toString("base64") };
    return ask(guest, { method: "POST", target: "/guest/v1/sync", headers: { ...json, ...signed }, body });
  };
  const synced = await sync(1);
  expect([synced.status, synced.text]).toEqual([200, expect.stringContaining('"pollSeconds":7')]);
  expect((await sync(1)).status).toBe(401);
  expect((await sync(2, "/guest/v1/rotate")).status).toBe(401);
  expect(guest.way.peak()).toBe(1);
});

test("without a token nobody is let in, and a token of another project does not open this one", async () => {
  expect((await ask(api, { method: "GET", target: `/v1.0/${project}/instances` })).status).toBe(401);
  const other = await cloud.login("alt");
  expect((await ask(api, { method: "GET", target: `/v1.0/${project}/instances`, headers: { "x-auth-token": other.token } })).status).toBe(403);
  expect((await tenant("GET", `/instances/${randomUUID()}`)).status).toBe(404);
});

// Last: it looks back on all of the above.
test("a function never has a second connection, and writes nothing outside its own directory", () => {
  expect(api.way.peak()).toBe(1);
  expect(api.output()).not.toMatch(/ERR_ACCESS_DENIED|EACCES|EROFS/);
});
