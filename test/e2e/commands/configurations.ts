import { expect, test } from "vitest";
import { type Row } from "#test/support/clients";
import type { Stage } from "#test/e2e/commands/stage";

/** Configuration groups, and what a server that has one says of its settings. */
export function configurations(stage: Stage) {
  const { ok, json, refused } = stage;
  const setting = async (name: string) => (await stage.psql(`show ${name}`)).stdout.trim();
  let group = "";
  /** What the platform itself sets. */
  let usual: string[] = [];
  let id = "";

  test("configuration create, list and show; a value out of bounds is refused", async () => {
    const create = ["database", "configuration", "create", "tuned", '{"work_mem": "8MB"}', "--datastore", "postgresql", "--datastore-version", "17", "--description", "for reports"];
    const made = JSON.parse(await ok([...create, "-f", "json"])) as Row;
    expect(made).toMatchObject({ name: "tuned", description: "for reports", datastore_name: "postgresql", datastore_version_name: "17" });
    expect(JSON.parse(String(made.values))).toEqual({ work_mem: "8MB" });
    group = String(made.id);
    expect(await json<Row[]>("database configuration list")).toMatchObject([{ ID: group, Name: "tuned" }]);
    expect(await json("database configuration show tuned")).toMatchObject({ id: group, instance_count: 0 });
    expect(await refused([...create.slice(0, 4), '{"work_mem": -5}', ...create.slice(5)])).toMatch(/HTTP 422/);
  });

  test("configuration attach, instances and default; the server has the values", async () => {
    ({ id } = await stage.seen("pg1"));
    usual = [await setting("work_mem"), await setting("max_connections")];
    const { shared_buffers } = await json("database configuration default pg1");
    expect(shared_buffers).toBeDefined();
    await ok(`database configuration attach ${id} ${group}`);
    await stage.healthy();
    expect(await setting("work_mem")).toBe("8MB");
    expect(await json<Row[]>("database configuration instances tuned")).toEqual([{ ID: id, Name: "pg1" }]);
    expect(await refused(`database configuration delete ${group}`)).toMatch(/attached to 1 instance/);
  });

  test("configuration parameter set changes one value, configuration set all; what needs a restart says so", async () => {
    await ok(["database", "configuration", "parameter", "set", group, '{"maintenance_work_mem": "48MB"}']);
    await stage.healthy();
    expect([await setting("work_mem"), await setting("maintenance_work_mem")]).toEqual(["8MB", "48MB"]);
    await ok(["database", "configuration", "set", group, '{"max_connections": 61}', "--name", "small", "--description", "few"]);
    await stage.until("pg1", "RESTART_REQUIRED", ({ status }) => status === "RESTART_REQUIRED");
    expect(await json("database configuration show small")).toMatchObject({ id: group, name: "small", description: "few" });
    await ok("database instance restart pg1");
    await stage.healthy();
    expect([await setting("work_mem"), await setting("max_connections")]).toEqual([usual[0], "61"]);
  });

  test("configuration detach and delete; instance update attaches and removes one as well", async () => {
    await ok(`database configuration detach ${id}`);
    await ok("database instance restart pg1");
    await stage.healthy();
    expect([await setting("work_mem"), await setting("max_connections")]).toEqual(usual);
    await ok(["database", "configuration", "set", group, '{"work_mem": "9MB"}']);
    await ok(`database instance update ${id} --configuration ${group}`);
    await stage.healthy();
    expect(await setting("work_mem")).toBe("9MB");
    await ok(`database instance update ${id} --remove-configuration`);
    await stage.healthy();
    expect(await setting("work_mem")).toBe(usual[0]);
    await ok("database configuration delete small");
    expect(await json<Row[]>("database configuration list")).toEqual([]);
  });
}
