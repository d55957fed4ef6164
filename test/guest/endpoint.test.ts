import { generateKeyPairSync, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { headers, oldestProtocol, PROTOCOL } from "#core/guest/protocol";
import { remove } from "#core/instance/remove";
import { boot } from "#core/workflow/guest";
import { call } from "#core/workflow/context";
import { endpoint, Guest, publicHalf } from "#test/guest/endpoint-rig";

/** The guest endpoint and those who mean it ill: real server, real database, HTTP. */
const enrolled = async () => {
  const rig = await endpoint();
  const one = await rig.booted();
  expect((await one.guest.enrol()).status).toBe(200);
  return { rig, ...one };
};

test("a request that is not signed, or signed for something else, is refused and changes nothing", async () => {
  const { rig, id, guest } = await enrolled();
  expect((await guest.sync()).status).toBe(200);
  const before = await rig.stored(id);
  const body = guest.syncBody();
  const stranger = generateKeyPairSync("ed25519").privateKey;
  const other = "00000000-0000-4000-8000-000000000000";
  const bad: Record<string, string>[] = [
    {},
    guest.signature("/sync", body, { key: stranger }),
    guest.signature("/sync", `${body} `),
    guest.signature("/sync", body, { signs: { path: "/rotate" } }),
    guest.signature("/sync", body, { signs: { instance: other } }),
    guest.signature("/sync", body, { instance: other }),
    guest.signature("/sync", body, { signs: { generation: 2 } }),
    guest.signature("/sync", body, { generation: 2 }),
    guest.signature("/sync", body, { generation: 0 }),
    guest.signature("/sync", body, { signs: { sequence: 7 } }),
    { ...guest.signature("/sync", body), [headers.signature]: "" },
    { ...guest.signature("/sync", body), [headers.signature]: "!" },
    { ...guest.signature("/sync", body), [headers.signature]: randomBytes(64).toString("base64") },
    { ...guest.signature("/sync", body), [headers.signature]: "A".repeat(6000) },
    { ...guest.signature("/sync", body), [headers.instance]: "-".repeat(36) },
    { ...guest.signature("/sync", body), [headers.instance]: "' or true --" },
    { ...guest.signature("/sync", body), [headers.generation]: "1 or 1=1" },
    { ...guest.signature("/sync", body), [headers.generation]: "" },
    { ...guest.signature("/sync", body), [headers.sequence]: "NaN" },
    { ...guest.signature("/sync", body), [headers.sequence]: "1e400" },
    { ...guest.signature("/sync", body), [headers.sequence]: "9007199254740993" },
  ];
  for (const [index, extra] of bad.entries()) expect([index, (await guest.post("/sync", body, extra)).status]).toEqual([index, 401]);
  expect(await rig.stored(id)).toBe(before);
});

test("a replay is refused at once and a day later: numbers only rise, and no clock is trusted", async () => {
  const { rig, id, guest } = await enrolled();
  const body = guest.syncBody({ report: { serviceStatus: "crashed", agentVersion: "test" } });
  const recorded = guest.signature("/sync", body);
  expect((await guest.post("/sync", body, recorded)).status).toBe(200);
  expect((await guest.sync()).status).toBe(200);
  const before = await rig.stored(id);
  expect(await guest.post("/sync", body, recorded)).toMatchObject({ status: 401, body: { error: expect.stringContaining("seen before") as string } });
  rig.world.clock.advance(86_400_000);
  expect((await guest.post("/sync", body, recorded)).status).toBe(401);
  // On another path the signature does not fit at all.
  expect((await guest.post("/rotate", body, recorded)).status).toBe(401);
  expect((await guest.sync({}, { sequence: 1 })).status).toBe(401);
  expect((await guest.sync({}, { sequence: -1 })).status).toBe(401);
  expect(await rig.stored(id)).toBe(before);
  expect((await rig.world.row(id)).serviceStatus).toBe("healthy");
});

test("of the same signed request sent ten times at once, one counts", async () => {
  const { guest } = await enrolled();
  const body = guest.syncBody();
  const extra = guest.signature("/sync", body);
  const answers = await Promise.all(Array.from({ length: 10 }, () => guest.post("/sync", body, extra)));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array<number>(9).fill(401)]);
});

test("another instance's id, anywhere in a request, neither reads nor changes that instance", async () => {
  const { rig, id, guest } = await enrolled();
  const victim = await rig.booted();
  expect((await victim.guest.enrol()).status).toBe(200);
  expect((await victim.guest.sync()).status).toBe(200);
  const job = await rig.job(victim.id, "enable_root", { verifier: "SCRAM-SHA-256$the-victims" });
  const before = await rig.stored(victim.id);
  const claims = { instanceId: victim.id, instance: victim.id, instance_id: victim.id, projectId: "p2", generation: 1 };
  const answers = [
    await guest.sync(claims),
    await guest.sync({ report: { serviceStatus: "failed", agentVersion: "x", ...claims } }),
    await guest.sync({ results: [{ id: job, ok: true, ...claims }] }),
    await guest.sync({ results: [{ id: job, ok: false, error: "it was me" }] }),
    await guest.post(`/sync?instance=${victim.id}`, guest.syncBody(), { ...guest.signature("/sync", guest.syncBody()), "x-instance-id": victim.id }),
    await guest.sync({}, { instance: victim.id }),
    await guest.sync({}, { instance: victim.id, signs: { instance: id } }),
    await guest.rotate(generateKeyPairSync("ed25519").publicKey, { instance: victim.id }),
    await guest.enrol({ instanceId: victim.id }),
    await guest.enrol({ instanceId: victim.id, token: victim.boot.token }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 401, 401, 401, 401, 401]);
  expect(JSON.stringify(answers)).not.toContain("the-victims");
  expect(await rig.stored(victim.id)).toBe(before);
});

test("an enrolment token counts for its instance, its generation, its key and its time", async () => {
  const rig = await endpoint();
  const one = await rig.booted();
  const two = await rig.booted();
  const refused = async (change: Record<string, unknown>, by = one.guest) => (await by.enrol(change)).status;
  expect(await refused({ token: "0".repeat(64) })).toBe(401);
  expect(await refused({ token: "" })).toBe(401);
  expect(await refused({ token: two.boot.token })).toBe(401);
  expect(await refused({ generation: 0 })).toBe(401);
  expect(await refused({ generation: 2 })).toBe(401);
  expect(await refused({ instanceId: "00000000-0000-4000-8000-000000000000" })).toBe(401);
  // Two who hold the same token at the same time: one of the keys is taken.
  const thief = new Guest(one.boot, rig.send);
  const both = await Promise.all([one.guest.enrol(), thief.enrol()]);
  expect(both.map(({ status }) => status).sort()).toEqual([200, 401]);
  const [winner, loser] = both[0].status === 200 ? [one.guest, thief] : [thief, one.guest];
  expect(await refused({}, loser)).toBe(401);
  expect((await loser.sync()).status).toBe(401);
  // A lost reply: the same key may ask again, until the first sync.
  expect(await refused({}, winner)).toBe(200);
  expect((await winner.sync()).status).toBe(200);
  expect(await refused({}, winner)).toBe(401);
  expect(await refused({}, loser)).toBe(401);
  rig.world.clock.advance(31 * 60_000);
  expect(await two.guest.enrol()).toMatchObject({ status: 401, body: { error: "The enrolment token has expired." } });
});

test("after a delete the credential, the key to come and the token count no more, and the queue is closed", async () => {
  const { rig, id, guest } = await enrolled();
  const next = generateKeyPairSync("ed25519");
  expect((await guest.sync({ results: (await rig.jobs(id)).map((job) => ({ id: job.id, ok: true })) })).status).toBe(200);
  await rig.world.drive();
  expect((await guest.rotate(next.publicKey)).status).toBe(200);
  await rig.job(id, "enable_root", { verifier: "SCRAM-SHA-256$late" });
  await rig.world.as(rig.world.tenant, () => remove(id));
  await rig.world.drive();
  const before = await rig.stored(id);
  expect((await guest.sync()).status).toBe(401);
  expect((await guest.sync({}, { key: next.privateKey })).status).toBe(401);
  expect((await guest.rotate(next.publicKey)).status).toBe(401);
  expect((await guest.enrol()).status).toBe(401);
  expect((await rig.jobs(id)).at(-1)).toMatchObject({ state: "failed", error: "The instance was deleted." });
  expect(await rig.stored(id)).toBe(before);
});

test("once its server was replaced, the old guest is refused and the new one begins with numbers of its own", async () => {
  const { rig, id, guest } = await enrolled();
  // Used up, by a clock far ahead or in bad faith.
  expect((await guest.sync({}, { sequence: Number.MAX_SAFE_INTEGER })).status).toBe(200);
  expect((await guest.sync()).status).toBe(401);
  await rig.world.db.owner`update instance set generation = 2 where id = ${id}`;
  // Already before the new server has its boot data.
  expect((await guest.sync({}, { sequence: Number.MAX_SAFE_INTEGER })).status).toBe(401);
  const instance = await rig.world.row(id);
  const [operation] = await rig.world.operations(id);
  if (!operation) throw new Error("no operation");
  const fresh = await rig.world.asSystem(() => boot({ ...rig.world.workshop, operation, instance, call }, guest.boot.datastore));
  expect(fresh.token).not.toBe(guest.boot.token);
  const heir = new Guest(fresh, rig.send);
  expect((await heir.enrol()).status).toBe(200);
  expect((await heir.sync()).status).toBe(200);
  const before = await rig.stored(id);
  expect((await guest.enrol()).status).toBe(401);
  expect((await guest.sync()).status).toBe(401);
  expect((await guest.sync({}, { generation: 2, sequence: Number.MAX_SAFE_INTEGER })).status).toBe(401);
  expect(await rig.stored(id)).toBe(before);
});

test("the old key counts until the new one is first used, and not after", async () => {
  const { guest } = await enrolled();
  const next = generateKeyPairSync("ed25519");
  expect((await guest.rotate(next.publicKey)).status).toBe(200);
  expect((await guest.sync()).status).toBe(200);
  expect((await guest.rotate(next.publicKey)).status).toBe(200);
  expect((await guest.sync({}, { key: next.privateKey })).status).toBe(200);
  expect((await guest.sync()).status).toBe(401);
  expect((await guest.sync({}, { key: next.privateKey })).status).toBe(200);
});

test("versions of the protocol: two back are accepted, older and newer ones are refused with the range", async () => {
  expect([1, 2, 3, 4, 9].map(oldestProtocol)).toEqual([1, 1, 1, 2, 7]);
  const { rig, guest } = await enrolled();
  const fresh = await rig.booted();
  const oldest = oldestProtocol(PROTOCOL);
  for (let protocol = oldest; protocol <= PROTOCOL; protocol++) {
    expect((await fresh.guest.enrol({ protocol })).status).toBe(200);
    expect((await guest.sync({ protocol })).status).toBe(200);
  }
  for (const protocol of [oldest - 1, PROTOCOL + 1, -1, 2 ** 40]) {
    const told = { status: 400, body: { error: `protocol: ${protocol} is not spoken here; ${oldest} to ${PROTOCOL} are.` } };
    expect(await guest.sync({ protocol })).toEqual(told);
    expect(await fresh.guest.enrol({ protocol })).toEqual(told);
  }
});

test("an oversized body is refused, with and without a length, before anything is looked at", async () => {
  const { rig, guest } = await enrolled();
  const big = "x".repeat(4 * 1024 * 1024 + 1);
  expect((await guest.post("/enrol", big)).status).toBe(413);
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(big));
      controller.close();
    },
  });
  const reply = await fetch(`${rig.url}/sync`, { method: "POST", body: stream, duplex: "half" });
  expect(reply.status).toBe(413);
  await reply.text();
});

test("junk is told what is wrong with it, never an internal error, and stores nothing", async () => {
  const { rig, id, guest } = await enrolled();
  const fresh = await rig.booted();
  expect((await guest.sync()).status).toBe(200);
  const before = [await rig.stored(id), await rig.stored(fresh.id)];
  const raw = (body: string) => guest.post("/sync", body, guest.signature("/sync", body));
  const report = { serviceStatus: "healthy", agentVersion: "test" };
  const rsa = publicHalf(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey);
  const job = "00000000-0000-4000-8000-000000000000";
  const deep = (levels: number) => `{"protocol":1,"report":${"[".repeat(levels)}${"]".repeat(levels)}}`;
  const cases: [RegExp, () => Promise<{ status: number; body: Record<string, unknown> }>][] = [
    [/not JSON/, () => raw("")],
    [/not JSON/, () => raw("{")],
    [/not JSON/, () => raw("\0\u00ff")],
    [/report.*nested deeper/, () => raw(deep(1000))],
    [/not JSON|nested deeper/, () => raw(deep(1_000_000))],
    [/expected object/, () => raw("null")],
    [/expected object/, () => raw("[]")],
    [/expected object/, () => raw("7")],
    [/protocol/, () => guest.sync({ protocol: "1" })],
    [/protocol/, () => guest.sync({ protocol: 1.5 })],
    [/holdSeconds/, () => guest.sync({ holdSeconds: 31 })],
    [/holdSeconds/, () => guest.sync({ holdSeconds: -1 })],
    [/report\.serviceStatus/, () => guest.sync({ report: { ...report, serviceStatus: "superb" } })],
    [/report\.agentVersion/, () => guest.sync({ report: { ...report, agentVersion: "v".repeat(65) } })],
    [/report\.agentVersion.*NUL/, () => guest.sync({ report: { ...report, agentVersion: "\0" } })],
    [/report\.volumeUsedBytes/, () => guest.sync({ report: { ...report, volumeUsedBytes: 1e300 } })],
    [/report\.volumeTotalBytes/, () => guest.sync({ report: { ...report, volumeTotalBytes: -1 } })],
    [/report\.inventory\.databases\.0\.name.*NUL/, () => guest.sync({ report: { ...report, inventory: { databases: [{ name: "\ud800" }], users: [] } } })],
    [/results\.0\.error/, () => guest.sync({ results: [{ id: job, ok: false, error: "e".repeat(4001) }] })],
    [/results\.0\.error.*NUL/, () => guest.sync({ results: [{ id: job, ok: false, error: "a\0b" }] })],
    [/results\.0\.result.*NUL/, () => guest.sync({ results: [{ id: job, ok: true, result: { "\0": 1 } }] })],
    [/results\.0\.id/, () => guest.sync({ results: [{ id: "1", ok: true }] })],
    [/results/, () => guest.sync({ results: Array.from({ length: 101 }, () => ({ id: job, ok: true })) })],
    [/publicKey: is no SPKI/, () => fresh.guest.enrol({ publicKey: "AAAA" })],
    [/publicKey: must be an Ed25519/, () => fresh.guest.enrol({ publicKey: rsa })],
    [/tlsPublicKey: is no SPKI/, () => fresh.guest.enrol({ tlsPublicKey: "AAAA" })],
    [/tlsPublicKey: must be a P-256/, () => fresh.guest.enrol({ tlsPublicKey: rsa })],
    [/token/, () => fresh.guest.enrol({ token: "t".repeat(129) })],
    [/instanceId/, () => fresh.guest.enrol({ instanceId: "-".repeat(36) })],
    [/generation/, () => fresh.guest.enrol({ generation: 1e300 })],
    [/publicKey: must be an Ed25519/, () => guest.rotate(guest.tlsKey.publicKey)],
  ];
  for (const [index, [rule, ask]] of cases.entries()) {
    const { status, body } = await ask();
    expect([index, status, body.error]).toEqual([index, 400, expect.stringMatching(rule)]);
  }
  const sequenceless = (text: string) => text.replaceAll(/"last_(sequence|seen_at)":"?[^,}]*/g, "");
  expect([await rig.stored(id), await rig.stored(fresh.id)].map(sequenceless)).toEqual(before.map(sequenceless));
  expect(rig.lines.filter((line) => line.includes("guest request failed"))).toEqual([]);
});

test("what is no path, no POST or no guest's business is not found", async () => {
  const { rig, guest } = await enrolled();
  for (const path of ["", "/", "/sync/", "/../../v1.0/p1/instances", "/instances", "/%2e%2e/sync"]) expect((await guest.post(path, "{}")).status).toBe(404);
  for (const method of ["GET", "PUT", "DELETE"]) expect((await fetch(`${rig.url}/sync`, { method })).status).toBe(404);
});
