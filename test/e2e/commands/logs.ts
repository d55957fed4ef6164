import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Cloud, type Row } from "#test/support/clients";
import { passwords, type Stage } from "#test/e2e/commands/stage";

/** Guest logs; `log tail` and `log save` read the object store by python3-swiftclient. In order. */
export function logs(stage: Stage) {
  const { openstack, json } = stage;
  const secret = passwords.alice;
  const psql = async (sql: string) => expect(await stage.psql(sql)).toMatchObject({ code: 0 });
  const tail = async (words: string, cloud?: Cloud) => (await openstack(`database log tail ${words}`, cloud)).stdout;

  test("a member sees the log general, turned off and not published; an administrator the agent's as well", async () => {
    expect(await json<Row[]>("database log list pg1")).toMatchObject([{ Name: "general", Type: "USER", Status: "Disabled", Published: 0, Container: "None", Prefix: "None" }]);
    const id = String((await json<Row>("database instance show pg1")).id);
    expect((await json<Row[]>(`database log list ${id}`, "coffer-admin")).map((row) => row.Name)).toEqual(["general", "guest"]);
    expect(await tail("pg1 general")).toContain("No published 'general' log");
    expect((await openstack("database log show pg1 guest")).stderr).toContain("There is no log 'guest'");
  });

  test("enabled without a restart, it has every statement from then on", async () => {
    await psql("select 'before it was on'");
    expect(await json<Row>("database log set pg1 general --enable")).toMatchObject({ name: "general" });
    expect(await json<Row>("database instance show pg1")).toMatchObject({ status: "ACTIVE", operating_status: "HEALTHY" });
    await psql("select 'while it is on'");
    expect(await json<Row>("database log set pg1 general --publish")).toMatchObject({ status: "Published", pending: 0, container: "database_logs" });
    const text = await tail("pg1 general --lines 0");
    expect(text).toContain("statement: select 'while it is on'");
    expect(text).not.toContain("before it was on");
  });

  test("only what is new is published; tail and save show all of it, in order", async () => {
    const before = await json<Row>("database log show pg1 general");
    await psql("select 'second part'");
    await psql(`alter role alice password '${secret}'`);
    const after = await json<Row>("database log set pg1 general --publish");
    expect(Number(after.published)).toBeGreaterThan(Number(before.published));
    const file = join(stage.scratch, "general.log");
    expect((await openstack(`database log save pg1 general --file ${file}`)).stdout).toContain("written to");
    const saved = await readFile(file, "utf8");
    expect(Buffer.byteLength(saved)).toBe(after.published);
    expect(saved).toMatch(/while it is on[^]*second part/);
    expect((await tail("pg1 general --lines 2")).trim().split("\n").length).toBeLessThanOrEqual(2);
  });

  test("no password of a statement and nothing of the agent's sessions is in what is published", async () => {
    const text = await tail("pg1 general --lines 0");
    expect(text).toMatch(/alter role alice password '\*+'/);
    expect(text).not.toContain(secret);
    expect(text).not.toMatch(/SCRAM-SHA-256|os_admin|pg_stat_activity/);
  });

  test("another project reads neither the instance's logs nor the objects", async () => {
    const id = String((await json<Row>("database instance show pg1")).id);
    expect((await openstack(`database log list ${id}`, "coffer-alt")).code).not.toBe(0);
    const mine = (await json<Row[]>("catalog list")).find((row) => row.Type === "object-store")?.Endpoints as { interface: string; url: string }[];
    const url = mine.find((one) => one.interface === "public")?.url ?? "";
    const get = async (cloud: Cloud) => {
      const token = String((await json<Row>("token issue", cloud)).id);
      return (await fetch(`${url}/database_logs?format=json`, { headers: { "x-auth-token": token } })).status;
    };
    expect([await get("coffer"), await get("coffer-alt"), await get("coffer-admin")]).toEqual([200, 403, 403]);
  });

  test("discarded, nothing is left in the object store, and all of it can be published again", async () => {
    const before = await json<Row>("database log show pg1 general");
    const gone = await json<Row>("database log set pg1 general --discard");
    expect(gone).toMatchObject({ status: "Ready", published: 0, container: "None" });
    expect(Number(gone.pending)).toBeGreaterThanOrEqual(Number(before.published));
    expect(await tail("pg1 general")).toContain("No published 'general' log");
    expect(await json<Row>("database log set pg1 general --publish --disable")).toMatchObject({ status: "Disabled", pending: 0 });
    await psql("select 'after it was off'");
    const text = await tail("pg1 general --lines 0");
    expect([text.includes("second part"), text.includes("after it was off")]).toEqual([true, false]);
  });

  test("the agent's log is published for administrators alone", async () => {
    const id = String((await json<Row>("database instance show pg1")).id);
    expect(await json<Row>(`database log set ${id} guest --publish`, "coffer-admin")).toMatchObject({ name: "guest", type: "SYS", status: "Published" });
    expect(await tail(`${id} guest --lines 0`, "coffer-admin")).toContain("the agent runs");
    expect((await openstack(`database log set ${id} guest --disable`, "coffer-admin")).stderr).toContain("always on");
    expect((await openstack("database log set pg1 guest --publish")).code).not.toBe(0);
  });
}
