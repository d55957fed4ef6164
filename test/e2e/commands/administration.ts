import { expect, test } from "vitest";
import { type Row } from "#test/support/clients";
import type { Stage } from "#test/e2e/commands/stage";

/** What administrators do with the server of an instance, and with quotas. In order. */
export function administration(stage: Stage) {
  const { ok, json, refused } = stage;
  const admin = "coffer-admin";
  let id = "";
  let address: string[] | undefined;
  const healthy = () => stage.healthy("pg2");
  const kept = async () => (await stage.psql("select n from t", { at: "pg2" })).stdout.trim();
  /** What the clients have no command for. */
  const call = <T = Record<string, Row>>(method: string, path: string, body?: object) => stage.admin.ask<T>(method, path, body);

  test("the guest answers what it and its machine are", async () => {
    ({ id, ip: address } = await stage.seen("pg2"));
    expect((await stage.psql("create table t as select 42 as n", { at: "pg2" })).code).toBe(0);
    expect((await call("GET", `/mgmt/instances/${id}/rpc_ping`)).status).toBe(204);
    expect((await call("GET", `/mgmt/instances/${id}/diagnostics`)).body.diagnostics?.vmRss).toBeGreaterThan(10_000);
    expect((await call("GET", `/mgmt/instances/${id}/hwinfo`)).body.hwinfo).toMatchObject({ num_cpus: expect.any(Number) as number });
  });

  test("a stopped database stays down until instance reboot, and holds its data then", async () => {
    expect((await call("POST", `/mgmt/instances/${id}/action`, { stop: {} })).status).toBe(202);
    await stage.until("pg2", "SHUTDOWN", (row) => row.operating_status === "SHUTDOWN");
    expect((await stage.psql("select 1", { at: "pg2" })).code).not.toBe(0);
    await ok(`database instance reboot ${id}`, admin);
    await stage.until("pg2", "the reboot", (row) => row.status === "REBOOT" || row.operating_status === "HEALTHY");
    await healthy();
    expect(await kept()).toBe("42");
  });

  test("instance upgrade to another version of the line keeps data and address, and one of another line is refused", async () => {
    await ok("datastore version create next elephant postgresql '' --image-tags postgresql,17 --active --version-number 17.10", admin);
    for (const version of ["next", "stable"]) {
      await ok(`database instance upgrade pg2 ${version}`);
      await healthy();
      expect(await json("database instance show pg2")).toMatchObject({ datastore_version: version });
      expect([await kept(), (await stage.seen("pg2")).ip]).toEqual(["42", address]);
    }
    const next = await json("datastore version show next --datastore elephant");
    await ok(`datastore version delete ${String(next.id)}`, admin);
    expect(await refused("database instance upgrade pg1 18")).toMatch(/does not read the data of postgresql 17/);
  });

  test("instance rebuild gives it a new guest on the old data and address", async () => {
    const { versions } = (await call<{ versions: Row[] }>("GET", "/mgmt/datastore-versions")).body;
    const image = String(versions.find((row) => row.name === "17")?.image);
    await ok(`database instance rebuild ${id} ${image}`, admin);
    await healthy();
    expect((await stage.seen("pg2")).ip).toEqual(address);
    expect(await kept()).toBe("42");
    const { operations } = (await call<{ operations: Row[] }>("GET", `/instances/${id}/operations`)).body;
    expect(operations[0]).toMatchObject({ kind: "rebuild", status: "done" });
    expect((await call("GET", `/mgmt/instances/${id}/rpc_ping`)).status).toBe(204);
  });

  test("a migration finds no other host and leaves the database serving", async () => {
    expect((await call("POST", `/mgmt/instances/${id}/action`, { migrate: {} })).status).toBe(202);
    await stage.until("pg2", "the refusal", (row) => JSON.stringify(row).includes("No valid host"));
    await healthy();
    expect(await kept()).toBe("42");
  });

  test("quota update changes a limit of a project, quota show tells it, and what is over it is refused", async () => {
    const project = await ok("project show demo -f value -c id", admin);
    expect(await json(`database quota update ${project} instances 2`, admin)).toMatchObject({ instances: 2 });
    expect((await json<Row[]>(`database quota show ${project}`, admin)).find((row) => row.Resource === "instances")).toMatchObject({ Limit: 2, "In Use": 2 });
    expect(await refused("database instance create pg3 --flavor tiny --size 1 --datastore postgresql")).toMatch(/HTTP 413/);
  });

  test("a version and a datastore that are in use are not deleted", async () => {
    const { id: version } = await json("datastore version show stable --datastore elephant");
    expect(await refused(`datastore version delete ${String(version)}`, admin)).toMatch(/in use/);
    expect(await refused("datastore delete elephant", admin)).toMatch(/still has versions/);
  });
}
