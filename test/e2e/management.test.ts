import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { installation, run, type Running } from "#test/support/service";
import { until } from "#test/support/cluster";

/** What administrators do with the unmodified clients of Debian, at real servers. One life of one instance, in order. */
let place: Awaited<ReturnType<typeof installation>>;
let service: Running;
let address = "";
let id = "";
let token = "";
let endpoint = "";

beforeAll(async () => {
  place = await installation();
  service = await place.start();
});
afterAll(async () => {
  await service?.stop();
  await place?.remove();
});

type Row = Record<string, unknown>;
const openstack = (command: string, cloud = "coffer-admin") => {
  const args = command.match(/'[^']*'|\S+/g)?.map((word) => word.replace(/^'|'$/g, "")) ?? [];
  return run("openstack", ["--os-cloud", cloud, ...args], { OS_CLIENT_CONFIG_FILE: place.clouds });
};
const ok = async (command: string, cloud?: string) => {
  const { code, stdout, stderr } = await openstack(command, cloud);
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  return stdout;
};
const json = async <T = Row>(command: string, cloud?: string): Promise<T> => JSON.parse(await ok(`${command} -f json`, cloud)) as T;
const refused = async (command: string, cloud?: string) => {
  const { code, stderr } = await openstack(command, cloud);
  expect(code, command).not.toBe(0);
  return stderr;
};
const state = async (wanted: (row: Row) => boolean, what: string) =>
  until(async () => {
    const row = await json("database instance show pg1", "coffer");
    if (row.status === "ERROR") throw new Error(JSON.stringify(row));
    return wanted(row);
  }, what, 90_000);
const healthy = () => state((row) => row.status === "ACTIVE" && row.operating_status === "HEALTHY", "pg1 to be ACTIVE and HEALTHY");
const psql = (sql: string) =>
  run("psql", ["-X", "-A", "-t", "-c", sql, `host=${address} port=5432 user=alice dbname=app connect_timeout=5 sslmode=require`], { PGPASSWORD: "pw-of-alice" });
/** What the clients have no command for. */
const call = async (method: string, path: string, body?: object) => {
  const reply = await fetch(`${endpoint}${path}`, {
    method,
    headers: { "x-auth-token": token, ...(body && { "content-type": "application/json" }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  return { status: reply.status, json: (text ? JSON.parse(text) : {}) as Record<string, Row> };
};

describe("datastores and versions", () => {
  const version = async (name: string) => (await json<{ ID: string; Name: string }[]>("datastore version list elephant")).find((row) => row.Name === name)?.ID ?? "";

  test("a version made from tags can be shown, set and ordered; one from an image nobody has is refused", async () => {
    await ok("datastore version create lts elephant postgresql '' --image-tags postgresql,17 --active --default --version-number 17");
    expect(await json("datastore version show lts --datastore elephant")).toMatchObject({ name: "lts", version: "17" });
    expect(await refused("datastore version create x elephant postgresql '' --image-tags postgresql,99 --active")).toMatch(/cannot be found/);
    await ok(`datastore version set ${await version("lts")} --version-name stable`);
    expect(await json("datastore show elephant")).toMatchObject({ name: "elephant" });
    expect(await refused("datastore version create y elephant postgresql '' --image-tags postgresql,17 --active", "coffer")).toMatch(/HTTP 401/);
  });

  test("an instance of it runs, and keeps it from being deleted", async () => {
    await ok("database instance create pg1 --flavor tiny --size 1 --datastore elephant --datastore-version stable --databases app --users alice:pw-of-alice", "coffer");
    await healthy();
    const row = await json("database instance show pg1", "coffer");
    [id, address] = [row.id as string, row.ip as string];
    expect((await psql("create table t as select 42 as n")).code).toBe(0);
    expect(await refused(`datastore version delete ${await version("stable")}`)).toMatch(/in use/);
    expect(await refused("datastore delete elephant")).toMatch(/still has versions/);
  });
});

describe("the server of an instance", () => {
  test("the guest answers what it and its machine are", async () => {
    token = (await ok("token issue -f value -c id")).trim();
    const project = (await ok("token issue -f value -c project_id")).trim();
    endpoint = `${place.url}/v1.0/${project}`;
    expect((await call("GET", `/mgmt/instances/${id}/rpc_ping`)).status).toBe(204);
    const { json: told } = await call("GET", `/mgmt/instances/${id}/diagnostics`);
    expect(told.diagnostics?.vmRss).toBeGreaterThan(10_000);
    expect((await call("GET", `/mgmt/instances/${id}/hwinfo`)).json.hwinfo).toMatchObject({ num_cpus: expect.any(Number) as number });
  });

  test("a stopped database stays down until its server is rebooted, and holds its data then", async () => {
    expect((await call("POST", `/mgmt/instances/${id}/action`, { stop: {} })).status).toBe(202);
    await state((row) => row.operating_status === "SHUTDOWN", "pg1 to be SHUTDOWN");
    expect((await psql("select 1")).code).not.toBe(0);
    await ok(`database instance reboot ${id}`);
    await state((row) => row.status === "REBOOT" || row.operating_status === "HEALTHY", "the reboot to be seen");
    await healthy();
    expect((await psql("select n from t")).stdout.trim()).toBe("42");
  });

  test("a rebuild gives it a new guest on the old data and address", async () => {
    const versions = (await call("GET", "/mgmt/datastore-versions")).json as unknown as { versions: Row[] };
    const image = versions.versions.find((row) => row.name === "17")?.image as string;
    await ok(`database instance rebuild ${id} ${image}`);
    await healthy();
    expect((await json("database instance show pg1", "coffer")).ip).toBe(address);
    expect((await psql("select n from t")).stdout.trim()).toBe("42");
    const { operations } = (await call("GET", `/instances/${id}/operations`)).json as unknown as { operations: Row[] };
    expect(operations[0]).toMatchObject({ kind: "rebuild", status: "done" });
    expect((await call("GET", `/mgmt/instances/${id}/rpc_ping`)).status).toBe(204);
  });

  test("a migration finds no other host and leaves the database serving", async () => {
    expect((await call("POST", `/mgmt/instances/${id}/action`, { migrate: {} })).status).toBe(202);
    await state((row) => JSON.stringify(row).includes("No valid host"), "the refusal to be told");
    await healthy();
    expect((await psql("select n from t")).stdout.trim()).toBe("42");
  });
});

describe("clusters and quotas", () => {
  test("there are no clusters, and none can be made", async () => {
    expect(await json("database cluster list", "coffer")).toEqual([]);
    expect(await refused("database cluster create c1 postgresql 17 --instance flavor=tiny,volume=1", "coffer")).toMatch(/not supported|501/);
    expect(await refused("database cluster show nothing", "coffer")).toMatch(/nothing/);
  });

  test("an administrator shows and updates quotas", async () => {
    const project = (await ok("project show demo -f value -c id")).trim();
    await ok(`database quota update ${project} instances 7`);
    const rows = await json<Row[]>(`database quota show ${project}`);
    expect(rows.find((row) => row.Resource === "instances")).toMatchObject({ Limit: 7 });
  });

  test("promote and eject are refused for what is no replica, and a version goes once nothing has it", async () => {
    expect(await refused(`database instance promote ${id}`, "coffer")).toMatch(/not a replica/);
    expect(await refused(`database instance eject ${id}`, "coffer")).toMatch(/no replicas/);
    await ok(`database instance delete ${id}`, "coffer");
    await until(async () => (await openstack("database instance show pg1", "coffer")).code !== 0, "pg1 to be gone", 60_000);
    const rows = await json<{ ID: string }[]>("datastore version list elephant");
    for (const row of rows) await ok(`datastore version delete ${row.ID}`);
    await ok("datastore delete elephant");
    expect(await ok("datastore list")).not.toContain("elephant");
  });
});
