import { createPrivateKey, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DOORBELL_PATH, headers as names, signedText } from "#core/guest/protocol";
import { expire } from "#core/guest/doorbell";
import { enter } from "#core/context";
import { doorbellRig, type DoorbellRig } from "#test/guest/doorbell-rig";
import { movableClock } from "#test/support/clock";
import { testDatabase } from "#test/support/db";
import { environmentFor } from "#test/support/lambda/environment";
import { socketEvent } from "#test/support/lambda/events";
import { forwardTo } from "#test/support/lambda/forward";
import { startLambda } from "#test/support/lambda/process";

const clock = movableClock();
let rig: DoorbellRig;
beforeAll(async () => {
  rig = await doorbellRig({ db: await testDatabase(), clock });
});
afterAll(async () => {
  await rig.stop();
  await rig.db.close();
});

const connectionId = () => `${randomUUID().replaceAll("-", "").slice(0, 15)}=`;

/** A guest with a key, and what it sends to open a doorbell. */
async function guest() {
  const boot = await rig.instance();
  const keys = generateKeyPairSync("ed25519");
  const der = keys.publicKey.export({ format: "der", type: "spki" });
  await rig.db.owner`update guest set public_key = ${der} where instance_id = ${boot.instanceId}`;
  const key = createPrivateKey(keys.privateKey.export({ format: "pem", type: "pkcs8" }));
  const signed = (sequence: number, { path = DOORBELL_PATH, generation = 1 } = {}) => ({
    [names.instance]: boot.instanceId,
    [names.generation]: String(generation),
    [names.sequence]: String(sequence),
    [names.signature]: sign(null, Buffer.from(signedText(path, boot.instanceId, generation, sequence, "")), key).toString("base64"),
  });
  const row = async () => (await rig.row(boot))?.connectionId;
  return { ...boot, signed, row };
}
const connect = (id: string, headers: Record<string, string>) => rig.handler(socketEvent("CONNECT", { connectionId: id, headers }));
const say = (id: string, body = "ping") => rig.handler(socketEvent("MESSAGE", { connectionId: id, body }));
const end = (id: string) => rig.handler(socketEvent("DISCONNECT", { connectionId: id }));
const status = async (instanceId: string) => {
  const [row] = await rig.db.owner<{ at: Date }[]>`select service_status_at as at from instance where id = ${instanceId}`;
  return row?.at;
};

test("a guest's signature opens its doorbell, whatever the case of the header names", async () => {
  const one = await guest();
  const [lower, upper] = [connectionId(), connectionId()];
  expect(await connect(lower, one.signed(1))).toEqual({ statusCode: 200 });
  expect(await one.row()).toBe(lower);
  const capital = Object.fromEntries(Object.entries(one.signed(2)).map(([name, value]) => [name.toUpperCase(), value]));
  expect(await connect(upper, capital)).toEqual({ statusCode: 200 });
  expect(await one.row()).toBe(upper);
});

test("nobody else opens it: unsigned, replayed, signed for another path, of another generation, or revoked", async () => {
  const one = await guest();
  const refused = { statusCode: 401 };
  expect(await connect(connectionId(), {})).toEqual(refused);
  expect(await connect(connectionId(), { ...one.signed(1), [names.signature]: "" })).toEqual(refused);
  expect(await connect(connectionId(), one.signed(1, { path: "/guest/v1/sync" }))).toEqual(refused);
  expect(await connect(connectionId(), one.signed(1, { generation: 2 }))).toEqual(refused);
  expect(await connect(connectionId(), { ...(await guest()).signed(1), [names.instance]: one.instanceId })).toEqual(refused);
  expect(await one.row()).toBeUndefined();
  expect(await connect(connectionId(), one.signed(5))).toEqual({ statusCode: 200 });
  const first = await one.row();
  expect(await connect(connectionId(), one.signed(5))).toEqual(refused);
  await rig.db.owner`update guest set revoked_at = now() where instance_id = ${one.instanceId}`;
  expect(await connect(connectionId(), one.signed(6))).toEqual(refused);
  expect(await one.row()).toBe(first);
});

test("the end of a connection that was replaced leaves the newer one, and of the newer one nothing is left", async () => {
  const one = await guest();
  const [older, newer] = [connectionId(), connectionId()];
  await connect(older, one.signed(1));
  await connect(newer, one.signed(2));
  await end(older);
  expect(await one.row()).toBe(newer);
  expect(await end(newer)).toEqual({ statusCode: 200 });
  expect(await one.row()).toBeUndefined();
});

test("a ping keeps the connection and the last report fresh; one of an unknown or outdated connection changes nothing", async () => {
  const one = await guest();
  const id = connectionId();
  await connect(id, one.signed(1));
  await rig.db.owner`update instance set service_status = 'healthy' where id = ${one.instanceId}`;
  clock.advance(400_000);
  const at = clock.now();
  expect(await say(id)).toEqual({ statusCode: 200 });
  expect(await status(one.instanceId)).toEqual(at);
  expect((await rig.row(one))?.expiresAt).toEqual(new Date(at.getTime() + 660_000));
  clock.advance(60_000);
  expect(await say(connectionId())).toEqual({ statusCode: 200 });
  await rig.db.owner`update instance set generation = 2 where id = ${one.instanceId}`;
  expect(await say(id)).toEqual({ statusCode: 200 });
  expect(await status(one.instanceId)).toEqual(at);
});

test.each([
  ["nothing waits", "healthy", false, 0],
  ["a job waits", "healthy", true, 1],
  ["its word is wanted, as its status was reset", "unknown", false, 1],
])("a ping while %s is answered with so many rings", async (_, service, job, rings) => {
  const one = await guest();
  const id = connectionId();
  await connect(id, one.signed(1));
  await rig.db.owner`update instance set service_status = ${service} where id = ${one.instanceId}`;
  if (job) await rig.job(one, "restart", {});
  const before = rig.sockets.counts.posts;
  await say(id);
  expect(rig.sockets.counts.posts - before).toBe(rings);
});

test("a job that may not be fetched yet rings nobody until its time has come", async () => {
  const one = await guest();
  const id = connectionId();
  await connect(id, one.signed(1));
  await rig.db.owner`update instance set service_status = 'healthy' where id = ${one.instanceId}`;
  await rig.job(one, "restart", {});
  await rig.db.owner`update guest_job set not_before = ${new Date(clock.now().getTime() + 60_000)} where instance_id = ${one.instanceId}`;
  const rings = async () => {
    const before = rig.sockets.counts.posts;
    await say(id);
    return rig.sockets.counts.posts - before;
  };
  expect(await rings()).toBe(0);
  clock.advance(60_000);
  expect(await rings()).toBe(1);
});

test("a connection that the gateway does not know is forgotten, but not while its handshake may be under way", async () => {
  const one = await guest();
  const id = connectionId();
  await connect(id, one.signed(1));
  await rig.asSystem(() => rig.bell.ring(one.instanceId));
  expect(await one.row()).toBe(id);
  clock.advance(11_000);
  await rig.asSystem(() => rig.bell.ring(one.instanceId));
  expect(await one.row()).toBeUndefined();
});

test("a connection of whose end nobody told is rung no more and swept, others stay", async () => {
  const [silent, heard] = [await guest(), await guest()];
  const [a, b] = [connectionId(), connectionId()];
  await connect(a, silent.signed(1));
  await connect(b, heard.signed(1));
  await rig.db.owner`update instance set service_status = 'healthy' where id = ${heard.instanceId}`;
  clock.advance(500_000);
  await say(b);
  clock.advance(200_000);
  const before = rig.sockets.counts.posts;
  await rig.asSystem(() => rig.bell.ring(silent.instanceId));
  expect(rig.sockets.counts.posts).toBe(before);
  await rig.asSystem(expire);
  expect([await silent.row(), await heard.row()]).toEqual([undefined, b]);
});

test("a tenant's request rings its own instances only", async () => {
  const one = await guest();
  await connect(connectionId(), one.signed(1));
  const ring = (projectId: string) =>
    enter({ db: rig.db.app, actor: { kind: "user", userId: "u", projectId, roles: [], isAdmin: false }, clock }, () => rig.bell.ring(one.instanceId));
  const before = rig.sockets.counts.posts;
  await ring("p2");
  expect(rig.sockets.counts.posts).toBe(before);
  await ring("p1");
  expect(rig.sockets.counts.posts).toBe(before + 1);
});

test("the bundled function answers the three routes over one connection, and rings through the gateway", async () => {
  const one = await guest();
  const way = await forwardTo(`${rig.db.urls.socketDirectory}/.s.PGSQL.5432`);
  const env = { ...environmentFor("doorbell"), DATABASE_URL: rig.db.urls.system.replace("localhost:5432", `127.0.0.1:${way.port}`), COFFER_DOORBELL_ENDPOINT: rig.sockets.endpoint };
  const lambda = await startLambda("doorbell", { env });
  try {
    const id = connectionId();
    expect(await lambda.invoke(socketEvent("CONNECT", { connectionId: id, headers: {} }))).toEqual({ statusCode: 401 });
    expect(await lambda.invoke(socketEvent("CONNECT", { connectionId: id, headers: one.signed(1) }))).toEqual({ statusCode: 200 });
    const before = rig.sockets.counts.posts;
    expect(await lambda.invoke(socketEvent("MESSAGE", { connectionId: id, body: "ping" }))).toEqual({ statusCode: 200 });
    expect(rig.sockets.counts.posts).toBe(before + 1);
    expect(await lambda.invoke(socketEvent("DISCONNECT", { connectionId: id }))).toEqual({ statusCode: 200 });
    expect(await one.row()).toBeUndefined();
    expect(way.peak()).toBe(1);
  } finally {
    await lambda.stop();
    await way.close();
  }
});
