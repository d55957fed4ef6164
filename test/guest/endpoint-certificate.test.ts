import { X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { tellEndingCertificates } from "#core/guest/ending";
import { createAuthority, issue } from "#core/pki";
import { endpoint, newTlsKey, publicHalf } from "#test/guest/endpoint-rig";

const DAY = 86_400_000;

test("another certificate is issued for the guest's key and its own address, as often as it asks", async () => {
  const { booted, world } = await endpoint();
  const { id, guest } = await booted();
  const { body: first } = await guest.enrol();
  world.clock.advance(300 * DAY);
  const ask = JSON.stringify({ tlsPublicKey: publicHalf(guest.tlsKey.publicKey) });
  for (const at of [1, 2]) {
    const { status, body } = await guest.signed("/certificate", ask);
    expect(status, `request ${at}`).toBe(200);
    const made = new X509Certificate(String(body.certificate));
    expect(made.checkIP((await world.row(id)).address ?? "")).toBe((await world.row(id)).address);
    expect(made.verify(new X509Certificate(String(first.ca)).publicKey)).toBe(true);
    expect(made.publicKey.equals(guest.tlsKey.publicKey)).toBe(true);
    expect(Date.parse(made.validTo)).toBe(Math.floor(world.clock.now().getTime() / 1000) * 1000 + 397 * DAY);
  }
});

test("a certificate is refused without a signature, for another kind of key, and to a guest that was revoked", async () => {
  const { booted, world, send } = await endpoint();
  const { id, guest } = await booted();
  await guest.enrol();
  const ask = JSON.stringify({ tlsPublicKey: publicHalf(guest.tlsKey.publicKey) });
  expect((await send("/certificate", ask)).status).toBe(401);
  const wrong = await guest.signed("/certificate", JSON.stringify({ tlsPublicKey: publicHalf(guest.key.publicKey) }));
  expect([wrong.status, JSON.stringify(wrong.body)]).toEqual([400, expect.stringContaining("tlsPublicKey: must be a P-256 key.") as string]);
  expect((await guest.signed("/certificate", "{}")).status).toBe(400);
  await world.db.owner`update guest set revoked_at = now() where instance_id = ${id}`;
  expect((await guest.signed("/certificate", ask)).status).toBe(401);
});

test("that a user's own certificate ends within 30 days is told once for each, however many look; the built-in one's end is not", async () => {
  const { booted, world } = await endpoint();
  const { id, guest } = await booted();
  await guest.enrol();
  const authority = await createAuthority("theirs", world.clock.now());
  const key = newTlsKey();
  const report = async (now: Date) => {
    const certificate = await issue(authority, key.publicKey.export({ type: "spki", format: "der" }), ["db.example"], now);
    await guest.sync({ report: { serviceStatus: "healthy", agentVersion: "test", inventory: { databases: [], users: [], certificate } } });
  };
  const look = () => world.asSystem(tellEndingCertificates);
  const told = async () => (await world.db.owner`select payload from event where type = 'dbaas.instance_certificate.expiring' order by seq`).map(({ payload }) => payload as Record<string, unknown>);
  await report(world.clock.now());
  world.clock.advance(390 * DAY);
  await look();
  expect(await told()).toEqual([]);
  await world.db.owner`update instance set ssl_mode = 'enforced', ssl_container_ref = 'http://k/1' where id = ${id}`;
  world.clock.advance(-24 * DAY);
  await look();
  expect(await told()).toEqual([]);
  world.clock.advance(2 * DAY);
  await Promise.all([look(), look(), look()]);
  await look();
  expect(await told()).toEqual([{ instance_id: id, instance_name: "db", tenant_id: "p1", mode: "enforced", container_ref: "http://k/1", expires_at: "2027-02-02T00:00:00" }]);
  // The same one, reported again; then another, which ends soon one day too.
  await guest.sync({ report: { serviceStatus: "healthy", agentVersion: "test" } });
  await look();
  await report(world.clock.now());
  await look();
  expect(await told()).toHaveLength(1);
  world.clock.advance(380 * DAY);
  await look();
  expect(await told()).toHaveLength(2);
});

test("a certificate that cannot be read is no reason to refuse a report", async () => {
  const { booted, world } = await endpoint();
  const { id, guest } = await booted();
  await guest.enrol();
  expect((await guest.sync({ report: { serviceStatus: "healthy", agentVersion: "test", inventory: { databases: [], users: [], certificate: "junk" } } })).status).toBe(200);
  expect((await world.db.owner`select certificate_ends_at from guest where instance_id = ${id}`)[0]).toEqual({ certificate_ends_at: null });
});
