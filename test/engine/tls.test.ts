import { X509Certificate } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { settings, refusal, startedEngine, type Rig } from "#test/support/engine";
import { presented } from "#test/support/tls";
import { openssl, type Issued, type OpenSsl } from "#test/support/pkcs12";

/** Each mode of contract §5.6, as a client of a real server sees it. */
let rig: Rig;
let tool: OpenSsl;
let ca: Issued;
let server: Issued;
let client: Issued;
beforeAll(async () => {
  tool = await openssl();
  ca = await tool.authority();
  rig = await startedEngine();
  server = await tool.issue(ca, { san: `DNS:db.example,IP:${rig.machine.address}` });
  client = await tool.issue(ca, { cn: "somebody", san: "DNS:somebody" });
  await rig.engine.createDatabases({ databases: [{ name: "app" }] });
  await rig.user("ann", "s3cret", ["app"]);
});
afterAll(async () => {
  await rig.close();
  await tool.close();
});

const bundle = () => ({ certificate: server.certificate, key: server.key, ca: ca.certificate });
const verified = (own: Partial<Issued> = {}) => ({ ca: ca.certificate, host: rig.machine.address, ...(own.certificate && { cert: own.certificate, key: own.key }) });
const plain = () => refusal(rig.connect("ann", "s3cret", "app")`select 1`);
const secure = (own?: Partial<Issued>) => refusal(rig.connect("ann", "s3cret", "app", verified(own))`select 1`);

test("basic offers TLS with the given certificate, and lets everybody in as before", async () => {
  const before = await rig.pid();
  await rig.engine.applyTls({ ...settings, tlsMode: "basic" }, bundle());
  expect(await presented(rig.machine)).toBe(new X509Certificate(server.certificate).fingerprint256);
  expect([await plain(), await secure(), await secure(client)]).toEqual(["", "", ""]);
  // A certificate that nobody asks for is no reason to refuse.
  expect(await secure(await tool.issue(await tool.authority("Other")))).toBe("");
  expect(await rig.pid()).toBe(before);
});

test("enforced refuses who comes without TLS, and ends the sessions without", async () => {
  const session = rig.connect("ann", "s3cret", "app");
  await session`select 1`;
  await rig.engine.applyTls({ ...settings, tlsMode: "enforced" }, bundle());
  expect(await refusal(session`select 1`)).not.toBe("");
  expect([await plain(), await secure()]).toEqual(["28000", ""]);
});

test("mtls demands a certificate of the given CA besides the password", async () => {
  const session = rig.connect("ann", "s3cret", "app", verified());
  await session`select 1`;
  await rig.engine.applyTls({ ...settings, tlsMode: "mtls" }, bundle());
  expect(await refusal(session`select 1`)).not.toBe("");
  expect([await plain(), await secure(), await secure(client)]).toEqual(["28000", "28000", ""]);
  expect(await secure(await tool.issue(await tool.authority("Other")))).not.toBe("");
  expect(await refusal(rig.connect("ann", "wrong", "app", verified(client))`select 1`)).toBe("28P01");
});

test("the mode holds after a restart, a change of networks and of settings, and for another agent", async () => {
  const mtls = { ...settings, tlsMode: "mtls" as const };
  await rig.engine.restart(mtls);
  expect([await plain(), await secure(), await secure(client)]).toEqual(["28000", "28000", ""]);
  await rig.engine.applyAccess({ ...mtls, cidrs: ["127.0.0.0/8"] });
  await rig.engine.applyConfiguration({ ...mtls, overrides: { work_mem: 8192 } });
  await rig.again().start(mtls);
  expect([await plain(), await secure(), await secure(client)]).toEqual(["28000", "28000", ""]);
  expect(await presented(rig.machine)).toBe(new X509Certificate(server.certificate).fingerprint256);
});

test("back in builtin nobody is asked for anything, and the former CA is forgotten", async () => {
  await rig.engine.applyTls({ ...settings, tlsMode: "builtin" }, bundle());
  expect([await plain(), await secure(), await secure(await tool.issue(await tool.authority("Other")))]).toEqual(["", "", ""]);
});

test("every kind of key that is accepted is one that the server takes", async () => {
  for (const how of [["-newkey", "rsa:2048", "-nodes"], ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes"], ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521", "-nodes"]]) {
    const own = await tool.issue(ca, { how });
    await rig.engine.applyTls({ ...settings, tlsMode: "basic" }, { certificate: own.certificate, key: own.key, ca: "" });
    expect(await presented(rig.machine)).toBe(new X509Certificate(own.certificate).fingerprint256);
  }
});
