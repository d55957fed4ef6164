import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openstackOf, type OpenStack, type Row } from "#test/support/clients";
import { until } from "#test/support/cluster";
import { installation, leaks, run, type Running } from "#test/support/service";

/** A started service that is stopped, killed and started again, with the unmodified clients and psql. One life of one instance, in order. */
let place: Awaited<ReturnType<typeof installation>>;
let service: Running;
let address = "";
/** Long enough that no log line holds one by chance. */
const alice = "pw-of-alice-8Qz1";
const secrets: string[] = [alice];
/** Addresses and system identifiers of earlier instances. */
const seenBefore = new Set<string>();
/** All that the services of this file printed. */
const printed: string[] = [];

let json: OpenStack["json"];
let ok: OpenStack["ok"];

beforeAll(async () => {
  place = await installation();
  ({ json, ok } = openstackOf(place));
  service = await place.start();
});
afterAll(async () => {
  await service?.stop();
  await place?.remove();
});

const show = () => json<Row>("database instance show pg1");
const active = () =>
  until(async () => {
    const seen = await show();
    if (seen.status === "ERROR") throw new Error(JSON.stringify(seen));
    return seen.status === "ACTIVE" && seen.operating_status === "HEALTHY";
  }, "pg1 to be ACTIVE and HEALTHY", 60_000);
const psql = (user: string, password: string, sql: string, options = "sslmode=require", database = "app") =>
  run("psql", ["-X", "-A", "-t", "-c", sql, `host=${address} port=5432 user=${user} dbname=${database} connect_timeout=5 ${options}`], {
    PGPASSWORD: password,
  });

describe("the life of an instance", () => {
  test("create answers with BUILD and leads to ACTIVE, HEALTHY and an address", async () => {
    const created = await json<Row>(
      `database instance create pg1 --flavor small --size 1 --datastore postgresql --datastore-version 17 --databases app --users alice:${alice}`,
    );
    expect(created.status).toBe("BUILD");
    await active();
    const seen = await show();
    address = String((seen.ip as string | undefined) ?? "");
    expect(address).toMatch(/^127\./);
    expect(await json<Row[]>("database instance list")).toMatchObject([{ Name: "pg1", Status: "ACTIVE" }]);
  });

  test("psql connects as the new user, with TLS required and with the CA verified", async () => {
    expect(await psql("alice", alice, "create table notes (text text); insert into notes values ('kept')")).toMatchObject({ code: 0 });
    const verified = await psql("alice", alice, "select text from notes", `sslmode=verify-full sslrootcert=${place.ca}`);
    expect(verified).toMatchObject({ code: 0, stdout: "kept\n" });
    expect((await psql("alice", "wrong", "select 1")).stderr).toContain("password authentication failed");
  });

  test("a stop and a start of the whole service bring the instance and its rows back", async () => {
    expect(await service.stop()).toBe(0);
    printed.push(service.output());
    expect((await psql("alice", alice, "select 1")).code).not.toBe(0);
    service = await place.start();
    await active();
    expect(await psql("alice", alice, "select text from notes")).toMatchObject({ stdout: "kept\n" });
  });

  test("kill -9 of the service leaves the database serving, and the next start adopts it", async () => {
    const engine = (await psql("alice", alice, "select pg_postmaster_start_time()")).stdout;
    const pid = Number((await run("pgrep", ["-P", String(service.pid)])).stdout.trim() || service.pid);
    process.kill(pid, "SIGKILL");
    await service.ended;
    printed.push(service.output());
    expect((await psql("alice", alice, "select 1")).code).toBe(0);
    service = await place.start();
    await active();
    expect((await psql("alice", alice, "select pg_postmaster_start_time()")).stdout).toBe(engine);
  });

  test("plain HTTP works with a token of the project, and no other", async () => {
    const id = String((await show()).id);
    const token = (await json<Row>("token issue")) as { id: string; project_id: string };
    secrets.push(token.id);
    const get = (project: string, secret: string) =>
      fetch(`${place.url}/v1.0/${project}/instances/${id}`, { headers: { "x-auth-token": secret } });
    expect((await get(token.project_id, token.id)).status).toBe(200);
    expect((await get("0".repeat(32), token.id)).status).toBe(403);
    expect((await get(token.project_id, "forged")).status).toBe(401);
  });
});

test.each(["16", "18"])("PostgreSQL %s serves, with an address and a system identifier of its own", async (version) => {
  const name = `pg-${version}`;
  await ok(`database instance create ${name} --flavor tiny --size 1 --datastore postgresql --datastore-version ${version} --databases app --users alice:${alice}`);
  let seen: Row = {};
  await until(async () => {
    seen = await json<Row>(`database instance show ${name}`);
    if (seen.status === "ERROR") throw new Error(JSON.stringify(seen));
    return seen.operating_status === "HEALTHY";
  }, `${name} to be HEALTHY`, 60_000);
  address = String(seen.ip);
  const { stdout } = await psql("alice", alice, "select current_setting('server_version'), system_identifier from pg_control_system()");
  const [number, identifier] = stdout.trim().split("|");
  expect(number).toMatch(new RegExp(`^${version}\\.`));
  expect(identifier).toMatch(/^\d+$/);
  expect(seenBefore.has(address) || seenBefore.has(identifier ?? "")).toBe(false);
  seenBefore.add(address).add(identifier ?? "");
  await ok(`database instance delete ${name}`);
});

test("no password, verifier, token or key of this whole run stands in any log", async () => {
  expect(await leaks(place, [...printed, service.output()], secrets)).toEqual([]);
});
