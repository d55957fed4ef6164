import { generateKeyPairSync, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createAuthority, issue } from "#core/pki";
import { refusal, settings, startedEngine, type Rig } from "#test/support/engine";

let rig: Rig;
beforeAll(async () => {
  rig = await startedEngine();
  await rig.engine.createDatabases({ databases: [{ name: "app" }, { name: "other" }] });
  await rig.user("ann", "s3cret", ["app"]);
});
afterAll(() => rig.close());

async function certificate(names = [rig.machine.address]) {
  const authority = await createAuthority(randomUUID(), new Date());
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    ca: authority.certificate,
    certificate: await issue(authority, publicKey.export({ type: "spki", format: "der" }), names, new Date()),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

test("a wrong password, and a database that was not granted, are refused", async () => {
  expect(await refusal(rig.connect("ann", "wrong", "app")`select 1`)).toBe("28P01");
  expect(await refusal(rig.connect("ann", "s3cret", "other")`select 1`)).toBe("42501");
  expect(await refusal(rig.connect("ann", "s3cret", "postgres")`select 1`)).toBe("42501");
  expect(await refusal(rig.connect("ann", "s3cret", "template1")`select 1`)).toBe("42501");
});

test("the agent's superuser is refused over TCP, whatever the password", async () => {
  expect(await refusal(rig.connect("os_admin", "s3cret", "postgres")`select 1`)).toBe("28000");
});

test("networks that are not allowed are refused, and their sessions end", async () => {
  const session = rig.connect("ann", "s3cret", "app");
  await session`select 1`;
  await rig.engine.applyAccess({ ...settings, cidrs: ["10.0.0.0/8", "fd00::/8"] });
  expect(await refusal(session`select 1`)).not.toBe("");
  expect(await refusal(rig.connect("ann", "s3cret", "app")`select 1`)).toBe("28000");
  await rig.engine.applyAccess({ ...settings, cidrs: [] });
  expect(await refusal(rig.connect("ann", "s3cret", "app")`select 1`)).toBe("28000");
  await rig.engine.applyAccess({ ...settings, cidrs: ["127.0.0.1/8", "10.1.2.3"] });
  await rig.connect("ann", "s3cret", "app")`select 1`;
  await rig.engine.applyAccess(settings);
  await rig.connect("ann", "s3cret", "app")`select 1`;
});

test.each(["10.0.0.0/33", "10.0.0.0/8 trust", "all", "0.0.0.0/0 trust\nhost all all", "fe80::1%lo/64", "10.0.0.0/8/8", ""])("%j is no network, and nothing changes", async (cidr) => {
  await expect(rig.engine.applyAccess({ ...settings, cidrs: [cidr] })).rejects.toMatchObject({ code: "badRequest" });
  expect(await refusal(rig.connect("ann", "s3cret", "app")`select 1`)).toBe("");
});

test("replication is refused over TCP", async () => {
  const replication = await rig.inside("postgres", (sql) => sql<{ database: string[]; auth_method: string; type: string }[]>`select database, auth_method, type from pg_hba_file_rules order by rule_number`);
  expect(replication.find((rule) => rule.type === "host" && rule.database.includes("replication"))?.auth_method).toBe("reject");
});

test("TLS comes without a restart, with the certificate that was installed, and can be renewed", async () => {
  const before = await rig.pid();
  expect(await refusal(rig.connect("ann", "s3cret", "app", "require")`select 1`)).not.toBe("");
  for (let round = 0; round < 2; round++) {
    const pair = await certificate();
    await rig.engine.applyTls(settings, pair);
    const sql = rig.connect("ann", "s3cret", "app", { ca: pair.ca, host: rig.machine.address });
    expect(await sql`select ssl, version from pg_stat_ssl where pid = pg_backend_pid()`).toEqual([{ ssl: true, version: "TLSv1.3" }]);
  }
  expect(await rig.pid()).toBe(before);
});

test("a key of another certificate is refused, and TLS stays as it was", async () => {
  const [one, two] = [await certificate(), await certificate()];
  await expect(rig.engine.applyTls(settings, { ...one, key: two.key })).rejects.toMatchObject({ code: "badRequest" });
  await expect(rig.engine.applyTls(settings, { ...one, certificate: "nonsense" })).rejects.toMatchObject({ code: "badRequest" });
  await rig.engine.restart(settings);
  await rig.connect("ann", "s3cret", "app", "require")`select 1`;
});

test("several users share a database, and one without the right cannot create in it", async () => {
  await rig.user("bob", "b", ["app"]);
  const [ann, bob] = [rig.connect("ann", "s3cret", "app"), rig.connect("bob", "b", "app")];
  await ann`create table private (n int)`;
  expect(await refusal(bob`select * from private`)).toBe("42501");
  await bob`create schema mine`;
  await rig.engine.revoke({ name: "bob", database: "app" });
  expect(await refusal(bob`select 1`)).not.toBe("");
  expect(await refusal(rig.connect("bob", "b", "app")`select 1`)).toBe("42501");
});

test("what the log holds is no statement and no password", async () => {
  const sql = rig.connect("ann", "s3cret", "app");
  expect(await refusal(sql.unsafe("create role x password 'plain-password-1'"))).toBe("42501");
  const log = await readFile(join(rig.machine.volumeDirectory, "log", "postgresql.log"), "utf8");
  expect(log).toContain("permission denied to create role");
  expect(log).not.toContain("plain-password-1");
  expect(log).not.toContain("SCRAM-SHA-256$");
});

test("a character set or a collation that is unknown is refused in words, a known one is used", async () => {
  const make = (name: string, characterSet?: string, collate?: string) =>
    rig.engine.createDatabases({ databases: [{ name, ...(characterSet !== undefined && { characterSet }), ...(collate !== undefined && { collate }) }] });
  await expect(make("bad1", "klingon")).rejects.toMatchObject({ code: "badRequest", message: 'PostgreSQL knows no character set "klingon" (database "bad1").' });
  await expect(make("bad2", undefined, "xx_YY.UTF-8")).rejects.toMatchObject({ code: "badRequest", message: 'PostgreSQL knows no collation "xx_YY.UTF-8" (database "bad2").' });
  await expect(make("bad3", "UTF8", "de_DE.ISO8859-1")).rejects.toMatchObject({ code: "badRequest" });
  await expect(make("bad4", undefined, "'; drop role ann; --")).rejects.toMatchObject({ code: "badRequest" });
  await make("plain", "UTF8", "C");
  await make("latin", "LATIN1");
  await make("german", "utf8", "de_DE.utf8");
  await make("swedish", undefined, "sv-SE");
  await make("cluster", undefined, "C.UTF-8");
  const rows = await rig.inside("postgres", (sql) => sql<{ name: string }[]>`select datname as name, pg_encoding_to_char(encoding) as encoding, datlocprovider as provider from pg_database where datname in ('plain','latin','german','swedish','cluster') order by 1`);
  expect(rows.map((row) => ({ ...row }))).toEqual([
    { name: "cluster", encoding: "UTF8", provider: "b" },
    { name: "german", encoding: "UTF8", provider: "i" },
    { name: "latin", encoding: "LATIN1", provider: "c" },
    { name: "plain", encoding: "UTF8", provider: "c" },
    { name: "swedish", encoding: "UTF8", provider: "i" },
  ]);
  await rig.engine.grant({ name: "ann", databases: ["german", "swedish", "cluster"] });
  const order = async (database: string) => (await rig.connect("ann", "s3cret", database)<{ w: string }[]>`select w from unnest(string_to_array('z,ä,a', ',')) w order by w`).map((row) => row.w).join("");
  expect(await order("german")).toBe("aäz");
  expect(await order("swedish")).toBe("azä");
  expect(await rig.connect("ann", "s3cret", "cluster")`select upper('é') as u`).toEqual([{ u: "É" }]);
});
