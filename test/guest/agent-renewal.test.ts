import { randomUUID, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Keys } from "#core/guest/agent/keys";
import { tlsBound } from "#core/guest/protocol";
import { seal } from "#core/guest/seal";
import { createAuthority, issue } from "#core/pki";
import { fastClock, rig, scratch, until } from "#test/guest/agent-rig";
import { movableClock } from "#test/support/clock";
import { engineRig } from "#test/support/engine";
import { openssl } from "#test/support/pkcs12";
import { presented } from "#test/support/tls";

/** The certificate of the installation's CA, which an agent replaces before it ends. */
const DAY = 86_400_000;

async function prepared() {
  const clock = fastClock(10);
  const made = await rig({ clock });
  made.plane.now = () => clock.now();
  await made.start();
  await made.job("prepare", { memoryMb: 512, volumeGb: 1, cidrs: null, databases: [], users: [] });
  const present = () => made.world.certificate ?? "";
  /** Days from now, after which the agent has looked at its clock at least once. */
  const pass = async (days: number) => {
    clock.shift(days * DAY);
    const seen = made.plane.syncs.length;
    made.plane.cut();
    await until("two more syncs", () => made.plane.syncs.length > seen + 1);
  };
  return { ...made, clock, present, pass };
}

test("a built-in certificate is replaced at two thirds of its life, for the same key, and not before", async () => {
  const { plane, present, pass, clock } = await prepared();
  const first = present();
  // Its life of 398 days began a day before it was issued.
  await pass(263);
  expect(plane.renewals).toEqual([]);
  await pass(36);
  await until("the new certificate", () => present() !== first);
  expect(plane.renewals).toEqual([plane.enrolments[0]?.tlsPublicKey]);
  expect(Date.parse(new X509Certificate(present()).validTo) - clock.now().getTime()).toBeGreaterThan(396 * DAY);
  await until("its report", () => plane.syncs.some(({ report }) => report.inventory?.certificate?.trim() === present().trim()));
  await pass(10);
  expect(plane.renewals).toHaveLength(1);
});

test("certificates that were made in the same moment are due at different ones, between 66.7 and 75 per cent of their life", async () => {
  const clock = movableClock();
  const keys = await Keys.open(join(await scratch(), "keys.json"), 1, clock);
  const authority = await createAuthority("test", clock.now());
  const from = clock.now().getTime() - DAY;
  const at = (percent: number) => clock.advance(from + (398 * DAY * percent) / 100 - clock.now().getTime());
  expect(keys.renewalDue).toBe(false);
  let early = 0;
  for (let count = 0; count < 40; count++) {
    at((1 / 398) * 100);
    await keys.enrolled({ certificate: await issue(authority, Buffer.from(keys.tlsPublicKey, "base64"), ["127.0.0.1"], clock.now()), ca: authority.certificate });
    at(66.6);
    expect(keys.renewalDue).toBe(false);
    at(70.8);
    if (keys.renewalDue) early++;
    at(75.1);
    expect(keys.renewalDue).toBe(true);
  }
  // All of 40 on one side: once in 2^39.
  expect([early > 0, early < 40]).toEqual([true, true]);
});

test("an answer that is lost, or a server that cannot issue, is asked again, ever less often, and the old one is presented meanwhile", async () => {
  const { plane, present, pass, lines } = await prepared();
  const first = present();
  plane.lose.certificate = 2;
  await pass(300);
  await until("the first failure", () => lines.some((line) => line.includes("the certificate was not renewed")));
  expect(present()).toBe(first);
  await pass(0.5);
  await pass(0.5);
  await until("the new certificate", () => present() !== first);
  expect(new Set(plane.renewals)).toEqual(new Set([plane.enrolments[0]?.tlsPublicKey]));
});

test("a user's own certificate stays in force while the built-in one behind it is renewed", async () => {
  const tool = await openssl();
  onTestFinished(() => tool.close());
  const own = await tool.issue(await tool.authority());
  const { plane, present, pass, job, world } = await prepared();
  const { instanceId, generation } = plane.boot;
  const sealed = seal(plane.syncs.at(-1)?.report.sealingKey ?? "", tlsBound(instanceId, generation, "enforced"), JSON.stringify({ ...own, ca: "" }));
  await job("tls", { id: randomUUID(), change: { to: "given", given: { mode: "enforced", containerRef: "http://k/1", sealed } } });
  await pass(300);
  await until("the renewal", () => plane.renewals.length === 1);
  await job("ping", {});
  expect([present(), world.settings?.tlsMode]).toEqual([own.certificate, "enforced"]);
  await job("tls", { id: randomUUID(), change: { to: "builtin" } });
  expect(Date.parse(new X509Certificate(present()).validFrom)).toBeGreaterThan(Date.now() + 290 * DAY);
});

test("a real server presents the renewed certificate without a restart, and who verifies it is content", async () => {
  const machine = await engineRig();
  onTestFinished(() => machine.close());
  const clock = fastClock(1);
  const { plane, start, job, stop } = await rig({ clock, engine: () => machine.engine });
  plane.address = machine.machine.address;
  // Issued in the past, so that the second one is valid for a client of today.
  clock.shift(-300 * DAY);
  plane.now = () => clock.now();
  await start();
  await job("prepare", { memoryMb: 512, volumeGb: 1, cidrs: null, databases: [], users: [] });
  const { ca } = plane.boot;
  const first = await presented(machine.machine, ca);
  const pid = await machine.pid();
  const session = machine.inside("postgres", async (sql) => {
    await sql`select 1`;
    clock.shift(300 * DAY);
    plane.cut();
    await until("the renewed certificate", async () => (await presented(machine.machine, ca)) !== first);
    // A session that was open before goes on.
    return sql`select 1 as one`;
  });
  expect(await session).toMatchObject([{ one: 1 }]);
  expect(await machine.pid()).toBe(pid);
  expect(plane.renewals).toHaveLength(1);
  await stop();
}, 60_000);
