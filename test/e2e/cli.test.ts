import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { installation, run, type Running } from "#test/support/service";
import { until } from "#test/support/cluster";

/**
 * The unmodified clients of Debian (python3-openstackclient, python3-troveclient) and psql
 * against a started service. The tests are one life of one instance, in order.
 */
let place: Awaited<ReturnType<typeof installation>>;
let service: Running;
let address = "";
/** Long enough that no log line holds one by chance. */
const [alice, hidden, changed] = ["pw-of-alice-8Qz1", "pw-of-bob-hidden-3Xk", "pw-of-bob-changed-5Rt"] as const;
const secrets: string[] = [alice, hidden, changed, "SCRAM-SHA-256$"];
/** Addresses and system identifiers of earlier instances. */
const seenBefore = new Set<string>();
/** All that the services of this file printed. */
const printed: string[] = [];

beforeAll(async () => {
  place = await installation();
  service = await place.start();
});
afterAll(async () => {
  await service?.stop();
  await place?.remove();
});

const openstack = async (command: string, cloud = "coffer") => {
  const args = command.match(/'[^']*'|\S+/g)?.map((word) => word.replace(/^'|'$/g, "")) ?? [];
  return run("openstack", ["--os-cloud", cloud, ...args], { OS_CLIENT_CONFIG_FILE: place.clouds });
};
/** The command must succeed; answers what it printed as JSON. */
const json = async <T>(command: string, cloud?: string): Promise<T> => {
  const { code, stdout, stderr } = await openstack(`${command} -f json`, cloud);
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  return JSON.parse(stdout) as T;
};
const ok = async (command: string, cloud?: string) => {
  const { code, stdout, stderr } = await openstack(command, cloud);
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  return stdout;
};
type Row = Record<string, unknown>;
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

describe("catalogue and identity", () => {
  test("catalog list, token issue and project show answer a member", async () => {
    expect(await ok("catalog list")).toContain("database");
    expect(await json<Row>("token issue")).toHaveProperty("project_id");
    expect(await json<Row>("project show demo")).toMatchObject({ name: "demo" });
  });

  test("datastores, versions, flavors and limits are listed", async () => {
    expect(await json<Row[]>("datastore list")).toMatchObject([{ Name: "postgresql" }]);
    const versions = await json<Row[]>("datastore version list postgresql");
    expect(versions.map((row) => row.Name).sort()).toEqual(["16", "17", "18"]);
    const flavors = await json<Row[]>("database flavor list");
    expect(flavors.map((row) => [row.ID, row.Name, row.RAM])).toEqual([[1, "tiny", 512], [2, "small", 1024], [3, "medium", 2048]]);
    // The client prints the absolute limits as a table of its own, whatever the format.
    expect(await ok("database limit list")).toMatch(/max_instances[^]*10[^]*Verb/);
  });
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

  test("databases are created, listed and deleted", async () => {
    await ok("database db create pg1 shop");
    await until(async () => (await json<Row[]>("database db list pg1")).some((row) => row.Name === "shop"), "the new database");
    await ok("database db delete pg1 shop");
    await until(async () => !(await json<Row[]>("database db list pg1")).some((row) => row.Name === "shop"), "the database to go");
  });

  test("users are created, listed, shown, granted, revoked, changed and deleted", async () => {
    await ok(`database user create pg1 bob ${hidden} --databases app`);
    await until(async () => (await json<Row[]>("database user list pg1")).some((row) => row.Name === "bob"), "the new user");
    expect(await json<Row>("database user show pg1 bob")).toMatchObject({ name: "bob", databases: [{ name: "app" }] });
    expect((await psql("bob", hidden, "select 1")).code).toBe(0);
    await ok("database user revoke access pg1 bob app");
    expect(await json<Row[]>("database user show access pg1 bob")).toEqual([]);
    expect((await psql("bob", hidden, "select 1")).code).not.toBe(0);
    await ok("database user grant access pg1 bob app");
    expect(await json<Row[]>("database user show access pg1 bob")).toMatchObject([{ Name: "app" }]);
    await ok(`database user update attributes pg1 bob --new_name robert --new_password ${changed}`);
    await until(async () => (await psql("robert", changed, "select 1")).code === 0, "the new name and password");
    await ok("database user delete pg1 robert");
    await until(async () => !(await json<Row[]>("database user list pg1")).some((row) => row.Name === "robert"), "the user to go");
  });

  test("root is enabled, shown and disabled, and is no superuser", async () => {
    expect(await json<Row>("database root show pg1")).toMatchObject({ is_root_enabled: false });
    const { name, password } = await json<{ name: string; password: string }>("database root enable pg1");
    expect(name).toBe("root");
    secrets.push(password);
    expect(await json<Row>("database root show pg1")).toMatchObject({ is_root_enabled: true });
    expect(await psql("root", password, "select rolsuper from pg_roles where rolname = current_user")).toMatchObject({ stdout: "f\n" });
    expect((await psql("root", password, "copy (select 1) to program 'true'")).stderr).toContain("permission denied");
    await ok("database root disable pg1");
    expect((await psql("root", password, "select 1")).code).not.toBe(0);
  });

  test("restart, both resizes and a new name keep the rows", async () => {
    for (const command of ["restart pg1", "resize volume pg1 2", "resize flavor pg1 medium"]) {
      await ok(`database instance ${command}`);
      await active();
    }
    expect(await show()).toMatchObject({ volume: 2, flavor: "3" });
    await ok("database instance update pg1 --name pg2");
    expect(await json<Row>("database instance show pg2")).toMatchObject({ name: "pg2" });
    await ok("database instance update pg2 --name pg1");
    expect(await psql("alice", alice, "select text from notes")).toMatchObject({ stdout: "kept\n" });
  });

  test("an address outside allowed_cidrs is refused, and let in again", async () => {
    await ok("database instance update pg1 --allowed-cidr 203.0.113.0/24 --is-private");
    await active();
    expect((await psql("alice", alice, "select 1")).stderr).toMatch(/pg_hba.conf rejects|no pg_hba.conf entry/);
    await ok("database instance update pg1 --allowed-cidr 127.0.0.0/8 --is-private");
    await active();
    expect((await psql("alice", alice, "select 1")).code).toBe(0);
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

  test("another project sees nothing; reset status is for admins; plain HTTP works with a token", async () => {
    expect(await json<Row[]>("database instance list", "coffer-alt")).toEqual([]);
    const id = String((await show()).id);
    expect((await openstack(`database instance show ${id}`, "coffer-alt")).code).not.toBe(0);
    expect((await openstack(`database instance reset status ${id}`)).code).not.toBe(0);
    await ok(`database instance reset status ${id}`, "coffer-admin");
    await active();
    const token = (await json<Row>("token issue")) as { id: string; project_id: string };
    secrets.push(token.id);
    const get = (project: string, secret: string) =>
      fetch(`${place.url}/v1.0/${project}/instances/${id}`, { headers: { "x-auth-token": secret } });
    expect((await get(token.project_id, token.id)).status).toBe(200);
    expect((await get("0".repeat(32), token.id)).status).toBe(403);
    expect((await get(token.project_id, "forged")).status).toBe(401);
  });

  test("delete leads to 404, and force delete works for an admin", async () => {
    await ok("database instance delete pg1");
    await until(async () => (await json<Row[]>("database instance list")).length === 0, "pg1 to go");
    expect((await openstack("database instance show pg1")).code).not.toBe(0);
    await ok("database instance create pg3 --flavor tiny --size 1 --datastore postgresql", "coffer-admin");
    await ok("database instance force delete pg3", "coffer-admin");
    await until(async () => (await json<Row[]>("database instance list", "coffer-admin")).length === 0, "pg3 to go");
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

describe("the older command", () => {
  test("trove create, list, show, user-list and delete work with OS_* variables", async () => {
    const yaml = await run("cat", [place.clouds]);
    const password = /password: "([^"]+)"/.exec(yaml.stdout)?.[1] ?? "";
    const env = {
      OS_AUTH_URL: `${place.url}/identity/v3`,
      OS_USERNAME: "demo",
      OS_PASSWORD: password,
      OS_PROJECT_NAME: "demo",
      OS_USER_DOMAIN_NAME: "Default",
      OS_PROJECT_DOMAIN_NAME: "Default",
      OS_REGION_NAME: "RegionOne",
      OS_IDENTITY_API_VERSION: "3",
    };
    const trove = (...args: string[]) => run("trove", args, env);
    expect(await trove("create", "old1", "2", "--size", "1", "--datastore", "postgresql", "--datastore_version", "17", "--databases", "app", "--users", `alice:${alice}`)).toMatchObject({ code: 0 });
    await until(async () => (await trove("show", "old1")).stdout.includes("ACTIVE"), "old1 to be ACTIVE", 60_000);
    expect((await trove("list")).stdout).toContain("old1");
    expect((await trove("user-list", "old1")).stdout).toContain("alice");
    expect(await trove("delete", "old1")).toMatchObject({ code: 0 });
    await until(async () => !(await trove("list")).stdout.includes("old1"), "old1 to go", 60_000);
  });
});

test("no password, verifier, token or key of this whole run stands in any log", async () => {
  const generated = JSON.parse(await readFile(join(place.home, "secrets.json"), "utf8")) as { database: Record<string, string>; users: Record<string, string>; rootKey: string; signingKey: string };
  secrets.push(...Object.values(generated.database), ...Object.values(generated.users), generated.rootKey, generated.signingKey);
  const logs = (await run("find", [place.home, "/var/lib/coffer", "-name", "*.log"])).stdout.trim().split("\n").filter(Boolean);
  expect(logs.length).toBeGreaterThan(0);
  const text = [...printed, service.output(), ...(await Promise.all(logs.map((path) => readFile(path, "utf8"))))].join("\n");
  expect(text).toContain('"operation ended"');
  expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
});
