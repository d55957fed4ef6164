import { randomUUID, X509Certificate } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "#core/clock";
import { GivenTls, TlsBundle, tlsBound } from "#core/guest/protocol";
import { unseal } from "#core/guest/seal";
import { barbican } from "#core/secret/barbican";
import { createKeyManager } from "#functions/keymanager/index";
import { like, nobody, people, startApi, type Api, type Person } from "#test/api/rig";
import { guestKey } from "#test/support/guests";
import { listen, stop } from "#test/support/identity";
import { openssl, type Issued, type OpenSsl } from "#test/support/pkcs12";

let api: Api;
let tool: OpenSsl;
let ca: Issued;
let own: Issued;
let root: string;
let close: () => Promise<void>;
beforeAll(async () => {
  let answer: (request: Request) => Response | Promise<Response> = () => new Response(null, { status: 503 });
  const { server, port } = await listen((request) => answer(request));
  root = `http://127.0.0.1:${port}/key-manager`;
  api = await startApi({ settings: { COFFER_GUEST_WAIT_MS: "2500" }, deps: { secrets: barbican({ url: root, clock: systemClock }) } });
  const manager = createKeyManager({
    db: api.db.app,
    verify: (token) => Promise.resolve(Object.hasOwn(people, token) ? people[token as Person] : undefined),
    publicUrl: root,
    rootKey: Buffer.alloc(32, 7),
    clock: systemClock,
  });
  answer = (request) => manager.fetch(request);
  close = () => stop(server);
  tool = await openssl();
  ca = await tool.authority();
  own = await tool.issue(ca);
});
afterEach(() => {
  api.sleep(false);
  api.cannot.clear();
});
afterAll(async () => {
  await close();
  await api.close();
  await tool.close();
});

async function key(person: Person | undefined, line: string, body?: unknown, headers: Record<string, string> = {}) {
  const [method = "GET", path = ""] = line.split(" ");
  const response = await fetch(path.startsWith("http") ? path : `${root}${path}`, {
    method,
    headers: { ...(person && { "x-auth-token": person }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const json = response.headers.get("content-type")?.startsWith("application/json") ? (JSON.parse(bytes.toString()) as Record<string, unknown>) : {};
  return { status: response.status, bytes, json };
}

async function store(bytes: Buffer | string, person: Person = "member"): Promise<string> {
  const body = typeof bytes === "string" ? { payload: bytes, payload_content_type: "text/plain", secret_type: "passphrase" } : { payload: bytes.toString("base64"), payload_content_type: "application/octet-stream", payload_content_encoding: "base64" };
  const reply = await key(person, "POST /v1/secrets", { name: "a secret", ...body });
  expect(reply.status).toBe(201);
  return String(reply.json.secret_ref);
}

const users = async (ref: string) => ((await key("member", `GET ${ref}/consumers`)).json.consumers as { resource_id: string }[]).map((one) => one.resource_id);
const act = (id: string, ssl: Record<string, unknown>, person: Person = "member") => api.ask(person, `POST /instances/${id}/ssl`, { body: { ssl } });
const show = async (id: string, query = "") => (await api.ask("member", `GET /instances/${id}/ssl${query}`)).json.ssl;
/** What waits in the instance's queue, with what was sealed for its guest. */
async function queued(id: string) {
  const { spec } = (await api.jobs(id)).at(-1) ?? {};
  const given = GivenTls.parse((spec?.change as { given: unknown }).given);
  return { spec, given, bundle: TlsBundle.parse(JSON.parse(unseal(guestKey, tlsBound(id, 1, given.mode), given.sealed))) };
}

describe("SSL of an instance", () => {
  test("a new instance has the built-in certificate; its facts are told as the guest reports them", async () => {
    const id = await api.active();
    expect(await show(id)).toEqual({ status: "on", mode: "builtin" });
    const caller = { instanceId: id, projectId: "p1", generation: 1 };
    const { act: report } = await import("#test/support/guests");
    await api.asSystem(() => report(caller, { inventory: { databases: [], users: [], certificate: own.certificate } }));
    const expires = new Date(new X509Certificate(own.certificate).validTo).toISOString().slice(0, 19);
    const facts = { cn: "db.example", expire_at: expires, san: ["db.example", "127.0.0.1"] };
    expect(await show(id)).toEqual({ status: "on", mode: "builtin", certificate: facts });
    expect(await show(id, "?include_certificate=True")).toEqual({ status: "on", mode: "builtin", certificate: { ...facts, payload: own.certificate } });
    expect(await show(id, "?include_certificate=false")).toEqual({ status: "on", mode: "builtin", certificate: facts });
  });

  test.each([["basic", {}], ["enforced", { mode: "enforced" }], ["mtls", { mode: "mtls" }]])("enabling %s hands the guest the certificate, key and CA, sealed, and registers the use", async (mode, more) => {
    const id = await api.active();
    const [container, password] = [await store(await tool.bundle(own, { password: "p12-password", chain: [ca] })), await store("p12-password\n")];
    api.sleep(true);
    const late = await act(id, { enable: true, container_ref: container, password_ref: password, ...more });
    expect([late.status, late.text]).toEqual([400, like(/did not answer in time/)]);
    const { given, bundle } = await queued(id);
    expect([given.mode, bundle.key, bundle.ca]).toEqual([mode, own.key, ca.certificate]);
    expect(await show(id)).toMatchObject({ mode: "builtin" });
    // It may still be done: the use stays registered.
    expect([await users(container), await users(password)]).toEqual([[id], [id]]);
    await api.guestActs(id);
    expect(await show(id)).toMatchObject({ status: "on", mode });
    api.sleep(false);
    const again = await act(id, { enable: 1, container_ref: container, password_ref: password, ...more });
    expect([again.status, again.json]).toEqual([200, { ssl: { restart_required: false } }]);
  });

  test("no private key and no password is in a job, a row or a log in the clear", async () => {
    const id = await api.active();
    const password = "very-secret-password";
    const refs = { container_ref: await store(await tool.bundle(own, { password, chain: [ca] })), password_ref: await store(password) };
    api.sleep(true);
    await act(id, { enable: 1, ...refs });
    const lines = own.key.split("\n").slice(1, -2);
    const secrets = [...lines, password, Buffer.from(password).toString("base64"), Buffer.from(own.key).toString("base64").slice(40, 80)];
    const all = await Promise.all(["guest_job", "instance", "guest", "outbox", "operation", "secret", "secret_consumer"].map((table) => api.db.owner`select t::text as text from ${api.db.owner(table)} t`));
    const text = JSON.stringify(all) + JSON.stringify(api.lines);
    const bytes = await api.db.owner<{ sealed: Buffer }[]>`select sealed from secret`;
    for (const secret of secrets) {
      expect(text).not.toContain(secret);
      for (const { sealed } of bytes) expect(sealed.includes(secret)).toBe(false);
    }
    await api.guestActs(id);
    expect((await api.jobs(id)).at(-1)).toMatchObject({ kind: "tls", state: "done", spec: null });
  });

  test("disable goes back to builtin and takes the uses away; rollback goes to what was before, mode and uses with it", async () => {
    const id = await api.active();
    const [first, second] = [await store(await tool.bundle(own)), await store(await tool.bundle(own, { chain: [ca] }))];
    await act(id, { enable: 1, container_ref: first });
    await act(id, { enable: 1, container_ref: second, mode: "enforced" });
    expect([await users(first), await users(second)]).toEqual([[], [id]]);
    const back = await act(id, { rollback: true });
    expect([back.status, back.json]).toEqual([200, { ssl: { status: "on", restart_required: false, mode: "basic" } }]);
    expect([await users(first), await users(second), (await show(id) as { mode: string }).mode]).toEqual([[id], [], "basic"]);
    expect((await act(id, { disable: true })).json).toEqual({ ssl: { restart_required: false } });
    expect([await users(first), await show(id)]).toEqual([[], { status: "on", mode: "builtin" }]);
    expect((await act(id, { rollback: 1 })).json).toMatchObject({ ssl: { mode: "basic" } });
    expect(await users(first)).toEqual([id]);
    const again = await act(id, {});
    expect([again.status, again.json, (await show(id) as { mode: string }).mode]).toEqual([200, { ssl: { restart_required: false } }, "basic"]);
    expect((await api.ask("member", `DELETE /instances/${id}`)).status).toBe(202);
    expect(await users(first)).toEqual([]);
  });

  test("a guest that cannot do it changes nothing", async () => {
    const id = await api.active();
    const ref = await store(await tool.bundle(own));
    api.cannot.add("tls");
    const reply = await act(id, { enable: 1, container_ref: ref });
    expect([reply.status, reply.text]).toEqual([400, like(/the guest cannot tls/)]);
    expect([await users(ref), await show(id)]).toEqual([[], { status: "on", mode: "builtin" }]);
  });

  test("what cannot be used is a 400 that says why, and no job", async () => {
    const id = await api.active();
    const good = await store(await tool.bundle(own, { password: "right" }));
    const expired = await tool.issue(ca, { not: ["20200101000000Z", "20210101000000Z"] });
    const wrong: [Record<string, unknown>, RegExp][] = [
      [{ container_ref: good }, /password is wrong/],
      [{ container_ref: good, password_ref: await store("wrong") }, /password is wrong/],
      [{ container_ref: await store(Buffer.from("garbage")) }, /no usable PKCS#12/],
      [{ container_ref: await store("text") }, /no usable PKCS#12/],
      [{ container_ref: await store(await tool.bundle(expired)) }, /expired at 2021/],
      [{ container_ref: await store(await tool.bundle(own)), mode: "mtls" }, /mtls needs/],
      [{ container_ref: await store(await tool.bundle(own), "other") }, /none of this project/],
      [{ container_ref: `${root}/v1/secrets/${randomUUID()}` }, /none of this project/],
      [{ container_ref: `http://169.254.169.254/v1/secrets/${randomUUID()}` }, /not the reference of a secret/],
      [{ container_ref: `${root}/v1/secrets/${randomUUID()}/../../x` }, /not the reference of a secret/],
      [{}, /container_ref'\] is required/],
      [{ container_ref: good, mode: "paranoid" }, /mode/],
      [{ container_ref: 5 }, /container_ref/],
      [{ container_ref: good, disable: true }, /Only one of/],
    ];
    for (const [more, why] of wrong) {
      const reply = await act(id, { enable: true, ...more });
      expect([reply.status, reply.text]).toEqual([400, like(why)]);
    }
    expect((await api.ask("member", `POST /instances/${id}/ssl`, { body: {} })).status).toBe(400);
    expect(await api.jobs(id)).toHaveLength(1);
  });

  test("gate A holds, and others see nothing", async () => {
    const id = await api.active();
    await api.put(id, { task: "RESIZING" });
    for (const ssl of [{ enable: 1, container_ref: "x" }, { disable: 1 }, { rollback: 1 }, {}]) expect((await act(id, ssl)).status).toBe(422);
    await api.put(id, { task: "NONE" });
    expect((await act(id, {}, "other")).status).toBe(404);
    expect((await act(id, {}, "reader")).status).toBe(403);
    expect((await act(nobody, {})).status).toBe(404);
    expect((await api.ask("other", `GET /instances/${id}/ssl`)).status).toBe(404);
    expect((await api.ask("member", `GET /instances/${await api.create()}/ssl`)).status).toBe(422);
  });

  test("an agent that reported no key is told of as too old", async () => {
    const id = await api.active();
    await api.db.owner`update guest set sealing_key = null where instance_id = ${id}`;
    const reply = await act(id, { enable: 1, container_ref: await store(await tool.bundle(own)) });
    expect([reply.status, reply.text]).toEqual([501, like(/takes no certificates/)]);
  });

  test("without a key manager enabling is refused in words, and the rest works", async () => {
    const bare = await startApi();
    try {
      const id = await bare.active();
      const reply = await bare.ask("member", `POST /instances/${id}/ssl`, { body: { ssl: { enable: 1, container_ref: "http://k/1" } } });
      expect([reply.status, reply.text]).toEqual([400, like(/knows no key manager/)]);
      expect((await bare.ask("member", `POST /instances/${id}/ssl`, { body: { ssl: { disable: 1 } } })).status).toBe(200);
    } finally {
      await bare.close();
    }
  });
});

describe("the home's key manager", () => {
  test("gives back what it was given, to its project only, and lists it", async () => {
    const bytes = Buffer.from([0, 1, 2, 255]);
    const [binary, words] = [await store(bytes), await store("wörds")];
    const octets = { accept: "application/octet-stream" };
    expect((await key("member", `GET ${binary}/payload`, undefined, octets)).bytes).toEqual(bytes);
    expect((await key("member", `GET ${words}/payload`, undefined, { accept: "text/plain" })).bytes.toString()).toBe("wörds");
    expect((await key("member", `GET ${words}/payload`, undefined, octets)).status).toBe(406);
    for (const person of ["other", "admin"] as const) {
      expect((await key(person, `GET ${binary}`)).status).toBe(404);
      expect((await key(person, `GET ${binary}/payload`)).status).toBe(404);
      expect((await key(person, `DELETE ${binary}`)).status).toBe(404);
      expect((await key(person, `POST ${binary}/consumers`, { service: "s", resource_type: "t", resource_id: "i" })).status).toBe(404);
    }
    expect((await key(undefined, `GET ${binary}`)).status).toBe(401);
    expect((await key("member", `GET ${binary}`)).json).toMatchObject({ status: "ACTIVE", name: "a secret", content_types: { default: "application/octet-stream" }, secret_ref: binary, consumers: [] });
    const page = (await key("member", "GET /v1/secrets?limit=1&offset=1")).json;
    expect([(page.secrets as unknown[]).length, page.next, page.previous]).toEqual([1, like(/offset=2/), like(/offset=0/)]);
    expect((await key("member", `DELETE ${binary}`)).status).toBe(204);
    expect((await key("member", `GET ${binary}`)).status).toBe(404);
  });

  test("says which versions there are, without a token", async () => {
    for (const path of ["/", ""]) expect((await key(undefined, `GET ${path}`)).json.versions).toMatchObject([{ id: "v1", max_version: "1.1" }]);
    expect((await key(undefined, "GET /v1")).status).toBe(200);
  });

  test("a use is noted once and taken away once", async () => {
    const ref = await store("words");
    const use = { service: "database", resource_type: "instance", resource_id: "i1" };
    for (let round = 0; round < 2; round++) expect((await key("member", `POST ${ref}/consumers`, use)).json.consumers).toEqual([use]);
    expect((await key("member", `DELETE ${ref}/consumers`, use)).json.consumers).toEqual([]);
    expect((await key("member", `DELETE ${ref}/consumers`, use)).status).toBe(404);
  });

  test.each([
    ["nothing", {}, /payload/],
    ["no type", { payload: "x" }, /payload_content_type/],
    ["a strange type", { payload: "x", payload_content_type: "image/png" }, /payload_content_type/],
    ["no base64", { payload: "§", payload_content_type: "application/octet-stream", payload_content_encoding: "base64" }, /payload/],
    ["no encoding", { payload: "eA==", payload_content_type: "application/octet-stream" }, /payload/],
    ["a past expiration", { payload: "x", payload_content_type: "text/plain", expiration: "2001-01-01T00:00:00" }, /expiration/],
    ["no date", { payload: "x", payload_content_type: "text/plain", expiration: "soon" }, /expiration/],
    ["a strange kind", { payload: "x", payload_content_type: "text/plain", secret_type: "odd" }, /secret_type/],
    ["a long payload", { payload: "x".repeat(70_000), payload_content_type: "text/plain" }, /payload/],
  ])("%s is a 400 that names the field", async (_, body, why) => {
    const reply = await key("member", "POST /v1/secrets", body);
    expect([reply.status, reply.json.description]).toEqual([400, like(why)]);
  });
});
