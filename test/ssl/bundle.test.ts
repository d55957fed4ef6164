import { randomBytes, X509Certificate } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AppError } from "#core/error";
import { bundleOf } from "#core/ssl/bundle";
import { openssl, type Issued, type OpenSsl } from "#test/support/pkcs12";

let tool: OpenSsl;
let ca: Issued;
let own: Issued;
beforeAll(async () => {
  tool = await openssl();
  ca = await tool.authority();
  own = await tool.issue(ca);
});
afterAll(() => tool.close());

const read = (bytes: Buffer, password = "", demandCa = false) => bundleOf(bytes, password, new Date(), { demandCa });
const refused = (bytes: Buffer, why: RegExp, password = "", demandCa = false) =>
  expect(read(bytes, password, demandCa)).rejects.toMatchObject({ code: "badRequest", message: expect.stringMatching(why) as string });
const fingerprint = (pem: string) => new X509Certificate(pem).fingerprint256;

test.each([
  ["what OpenSSL makes by itself", []],
  ["AES-128", ["-keypbe", "AES-128-CBC", "-certpbe", "AES-128-CBC", "-macalg", "sha512"]],
  ["the older 3DES", ["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"]],
  ["certificates in the clear", ["-certpbe", "NONE"]],
  ["many iterations", ["-iter", "100000"]],
])("%s is read", async (_, options) => {
  for (const password of ["", "secret", "a pässwörd of €"]) {
    const got = await read(await tool.bundle(own, { password, chain: [ca], options }), password);
    expect(fingerprint(got.certificate)).toBe(fingerprint(own.certificate));
    expect(fingerprint(got.ca)).toBe(fingerprint(ca.certificate));
    expect(got.key).toContain("BEGIN PRIVATE KEY");
  }
});

test("the chain is put in order, whatever the order it came in", async () => {
  const root = await tool.authority("Root");
  const leaf = await tool.issue(root);
  const other = await tool.authority("Other");
  const got = await read(await tool.bundle(leaf, { chain: [other, root] }));
  expect(got.ca.match(/BEGIN/g)).toHaveLength(2);
  expect(fingerprint(got.ca)).toBe(fingerprint(root.certificate));
});

test("one that signed itself needs no chain; for mtls it must be a CA", async () => {
  expect((await read(await tool.bundle(ca))).ca).toBe("");
  expect(fingerprint((await read(await tool.bundle(ca), "", true)).ca)).toBe(fingerprint(ca.certificate));
  await refused(await tool.bundle(own), /mtls needs the certificate of the CA/, "", true);
});

test("a wrong password, or none, is told from a damaged file only as far as can be told", async () => {
  const bytes = await tool.bundle(own, { password: "right" });
  await refused(bytes, /password is wrong/, "wrong");
  await refused(bytes, /password is wrong/);
});

test("an expired certificate, one not valid yet, and an expired CA above are refused by name", async () => {
  await refused(await tool.bundle(await tool.issue(ca, { not: ["20200101000000Z", "20210101000000Z"] })), /'CN=db.example' has expired at 2021-01-01/);
  await refused(await tool.bundle(await tool.issue(ca, { not: ["20900101000000Z", "20910101000000Z"] })), /not valid before 2090/);
});

test("a weak key, a foreign issuer and a missing certificate are refused", async () => {
  await refused(await tool.bundle(await tool.issue(ca, { how: ["-newkey", "rsa:1024", "-nodes"] })), /RSA of 2048/);
  await refused(await tool.bundle(own, { chain: [await tool.authority("Other")] }), /not that of the issuer/);
  await refused(await tool.bundle(own, { options: ["-nocerts"] }), /holds no certificate/);
  await refused(await tool.bundle(own, { options: ["-nokeys"] }), /holds no private key/);
});

test("work of ours that a file asks for is bounded", async () => {
  await refused(await tool.bundle(own, { options: ["-iter", "2000000"] }), /2000000 iterations/);
});

test("a file without integrity is refused", async () => {
  await refused(await tool.bundle(own, { options: ["-nomac"] }), /no integrity check/);
});

test("garbage, and a file cut or changed anywhere, is refused in words and nothing else", async () => {
  const good = await tool.bundle(own, { chain: [ca], options: ["-iter", "1"] });
  const bad: Buffer[] = [Buffer.alloc(0), Buffer.from("no PKCS#12"), Buffer.from([0x30, 0x80]), Buffer.from([0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), randomBytes(3000)];
  for (let at = 0; at < good.length; at += 7) {
    bad.push(good.subarray(0, at));
    const flipped = Buffer.from(good);
    flipped[at] = (flipped[at] ?? 0) ^ 0x41;
    bad.push(flipped);
  }
  for (const bytes of bad) {
    const outcome = await read(bytes).catch((error: unknown) => error);
    if (outcome instanceof AppError) expect(outcome.code).toBe("badRequest");
    // Some bits say nothing: friendly names, a redundant tag.
    else expect(outcome).toMatchObject({ certificate: expect.stringContaining("BEGIN CERTIFICATE") as string });
  }
});
