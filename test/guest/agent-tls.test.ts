import { createPublicKey, randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tlsBound, type TlsMode } from "#core/guest/protocol";
import { seal } from "#core/guest/seal";
import { rig, until } from "#test/guest/agent-rig";
import { openssl, type Issued, type OpenSsl } from "#test/support/pkcs12";

let tool: OpenSsl;
let ca: Issued;
let own: Issued;
let other: Issued;
beforeAll(async () => {
  tool = await openssl();
  ca = await tool.authority();
  [own, other] = [await tool.issue(ca), await tool.issue(ca, { cn: "other.example" })];
});
afterAll(() => tool.close());

async function prepared() {
  const made = await rig();
  await made.start();
  const { plane, job } = made;
  await job("prepare", { memoryMb: 512, volumeGb: 1, cidrs: null, databases: [], users: [] });
  const key = () => plane.syncs.at(-1)?.report.sealingKey ?? "";
  const sealed = (issued: Issued, mode: TlsMode, change: { instanceId?: string; generation?: number; certificate?: string } = {}) => {
    const { instanceId = plane.boot.instanceId, generation = plane.boot.generation, certificate = issued.certificate } = change;
    return { mode, containerRef: `http://k/${mode}`, sealed: seal(key(), tlsBound(instanceId, generation, mode), JSON.stringify({ certificate, key: issued.key, ca: ca.certificate })) };
  };
  const change = (to: Record<string, unknown>, id: string = randomUUID()) => job("tls", { id, change: to });
  const give = (issued: Issued, mode: TlsMode) => change({ to: "given", given: sealed(issued, mode) });
  return { ...made, job, change, give, sealed, key };
}

test("the agent reports an X25519 key; another agent of the same instance has the same", async () => {
  const { key, leave, start, plane } = await prepared();
  const first = key();
  expect(createPublicKey({ key: Buffer.from(first, "base64"), format: "der", type: "spki" }).asymmetricKeyType).toBe("x25519");
  await leave();
  const seen = plane.syncs.length;
  await start();
  await until("another sync", () => plane.syncs.length > seen);
  expect(key()).toBe(first);
});

test("a given certificate is put in force, told, and reported", async () => {
  const { give, world, plane } = await prepared();
  expect(await give(own, "enforced")).toMatchObject({ ok: true, result: { mode: "enforced", containerRef: "http://k/enforced" } });
  expect([world.certificate, world.settings?.tlsMode]).toEqual([own.certificate, "enforced"]);
  await until("the report", () => plane.syncs.some((sync) => sync.report.inventory?.certificate?.trim() === own.certificate.trim()));
});

test("it outlives restarts, resizes, changes of networks, and agent and server together", async () => {
  const { give, job, world, leave, start } = await prepared();
  await give(own, "mtls");
  await job("restart", {});
  await job("configure", { memoryMb: 1024 });
  await job("access", { cidrs: ["10.0.0.0/8"] });
  expect(world.settings).toMatchObject({ tlsMode: "mtls", memoryMb: 1024, cidrs: ["10.0.0.0/8"] });
  await leave();
  world.crash();
  world.certificate = undefined;
  await start();
  await until("the certificate to be back", () => world.certificate === own.certificate);
  expect(world.settings?.tlsMode).toBe("mtls");
});

test("back is to what was before, twice is there and back; builtin is the installation's own", async () => {
  const { give, change, world } = await prepared();
  const builtin = world.certificate;
  await give(own, "basic");
  await give(other, "enforced");
  expect(await change({ to: "previous" })).toMatchObject({ result: { mode: "basic", containerRef: "http://k/basic" } });
  expect([world.certificate, world.settings?.tlsMode]).toEqual([own.certificate, "basic"]);
  expect(await change({ to: "previous" })).toMatchObject({ result: { mode: "enforced" } });
  expect(await change({ to: "builtin" })).toMatchObject({ result: { mode: "builtin" } });
  expect([world.certificate, world.settings?.tlsMode]).toEqual([builtin, "builtin"]);
  expect(await change({ to: "previous" })).toMatchObject({ result: { mode: "enforced" } });
  expect(await change({ to: "same" })).toMatchObject({ result: { mode: "enforced" } });
  expect(world.certificate).toBe(other.certificate);
});

test("a change that is done twice is one change", async () => {
  const { give, change, world } = await prepared();
  await give(own, "basic");
  await give(other, "enforced");
  const id = randomUUID();
  await change({ to: "previous" }, id);
  expect(await change({ to: "previous" }, id)).toMatchObject({ ok: true, result: { mode: "basic" } });
  expect(world.certificate).toBe(own.certificate);
});

test("without a change there is nothing to go back to", async () => {
  const { change } = await prepared();
  expect(await change({ to: "previous" })).toMatchObject({ ok: false, error: expect.stringContaining("no earlier TLS configuration") as string });
});

test("what is for another instance, server or mode, or was changed, does not open and changes nothing", async () => {
  const { sealed, change, world, plane } = await prepared();
  const builtin = world.certificate;
  const good = sealed(own, "mtls");
  const bad = [sealed(own, "mtls", { instanceId: randomUUID() }), sealed(own, "mtls", { generation: plane.boot.generation + 1 }), { ...good, mode: "basic" }, { ...good, sealed: `${good.sealed.slice(0, 90)}AAAA${good.sealed.slice(94)}` }, { ...good, sealed: "" }];
  for (const given of bad) expect(await change({ to: "given", given })).toMatchObject({ ok: false, error: expect.stringContaining("sealed for another agent") as string });
  expect([world.certificate, world.settings?.tlsMode]).toEqual([builtin, "builtin"]);
});

test("what the server does not take is refused, and the former is in force again", async () => {
  const { give, change, sealed, world } = await prepared();
  await give(own, "basic");
  const failed = await change({ to: "given", given: sealed(own, "mtls", { certificate: "unusable" }) });
  expect(failed).toMatchObject({ ok: false, error: expect.stringContaining("does not take it") as string });
  expect([world.certificate, world.settings?.tlsMode]).toEqual([own.certificate, "basic"]);
});

test("the agent keeps, logs and reports no private key that was given", async () => {
  const { give, stateDirectory, lines, plane } = await prepared();
  await give(own, "basic");
  await give(other, "mtls");
  const files = await Promise.all((await readdir(stateDirectory, { recursive: true, withFileTypes: true })).filter((one) => one.isFile()).map((one) => readFile(join(one.parentPath, one.name), "utf8")));
  const text = [...files, ...lines, JSON.stringify(plane.syncs)].join("\n");
  for (const { key } of [own, other]) expect(text).not.toContain(key.split("\n")[1]);
});
