import { expect, test } from "vitest";
import { until } from "#test/support/cluster";
import { type Row } from "#test/support/clients";
import { passwords, type Stage } from "#test/e2e/commands/stage";

const { alice } = passwords;

/** Both instances that the other cases need. */
export function creation(stage: Stage) {
  const { json, ok } = stage;

  test("instance create answers with BUILD and leads to ACTIVE, HEALTHY and an address; list and show have it", async () => {
    for (const [name, datastore, version] of [["pg1", "postgresql", "17"], ["pg2", "elephant", "stable"]]) {
      const created = await json(`database instance create ${name} --flavor tiny --size 1 --datastore ${datastore} --datastore-version ${version} --databases app --users alice:${alice}`);
      expect(created).toMatchObject({ name, status: "BUILD", volume: 1, flavor: "1" });
    }
    await stage.healthy("pg1");
    await stage.healthy("pg2");
    const shown = await json("database instance show pg1");
    expect(shown).toMatchObject({ name: "pg1", status: "ACTIVE", operating_status: "HEALTHY", datastore: "postgresql", datastore_version: "17", ip: expect.stringMatching(/^127\./) as string });
    expect((await json<Row[]>("database instance list")).map((row) => [row.Name, row.Status])).toEqual(expect.arrayContaining([["pg1", "ACTIVE"], ["pg2", "ACTIVE"]]));
    const [first] = await json<Row[]>("database instance list --limit 1");
    const rest = await json<Row[]>(`database instance list --limit 5 --marker ${String(first?.ID)}`);
    expect([first?.Name, ...rest.map((row) => row.Name)].sort()).toEqual(["pg1", "pg2"]);
    const project = (await ok("project show demo -f value -c id", "coffer-admin")).trim();
    expect((await json<Row[]>(`database instance list --all-projects --project-id ${project}`, "coffer-admin")).length).toBe(2);
    expect(await json<Row[]>("database instance list", "coffer-alt")).toEqual([]);
    expect((await stage.psql("create table notes (text text); insert into notes values ('kept')")).code).toBe(0);
  });
}

/** What owners do with an instance that serves. */
export function instances(stage: Stage) {
  const { json, ok, refused } = stage;

  test("instance restart, resize volume and resize flavor keep the rows", async () => {
    for (const command of ["restart pg1", "resize volume pg1 2", "resize flavor pg1 small"]) {
      await ok(`database instance ${command}`);
      await stage.healthy();
    }
    expect(await json("database instance show pg1")).toMatchObject({ volume: 2, flavor: "2" });
    expect(await stage.psql("select text from notes")).toMatchObject({ stdout: "kept\n" });
  });

  test("instance update gives another name; an address outside allowed_cidrs is refused, and let in again", async () => {
    await ok("database instance update pg1 --name pg9");
    expect(await json("database instance show pg9")).toMatchObject({ name: "pg9" });
    await ok("database instance update pg9 --name pg1");
    await ok("database instance update pg1 --allowed-cidr 203.0.113.0/24 --is-private");
    await stage.healthy();
    expect((await stage.psql("select 1")).stderr).toMatch(/pg_hba.conf rejects|no pg_hba.conf entry/);
    await ok("database instance update pg1 --allowed-cidr 127.0.0.0/8 --is-private");
    await stage.healthy();
    expect((await stage.psql("select 1")).code).toBe(0);
  });

  test("instance reset status is for admins, and another project sees nothing", async () => {
    const { id } = await stage.seen("pg1");
    await refused(`database instance show ${id}`, "coffer-alt");
    await refused(`database instance reset status ${id}`);
    await ok(`database instance reset status ${id}`, "coffer-admin");
    await stage.healthy();
  });
}

/** The end of both. */
export function removal(stage: Stage) {
  const { ok, json, refused } = stage;
  const admin = "coffer-admin";

  test("instance delete leads to 404, and a version goes once nothing has it", async () => {
    await ok("database instance delete pg1 pg2");
    await until(async () => (await stage.api.list()).length === 0, "pg1 and pg2 to go", 60_000, 200);
    expect(await refused("database instance show pg1")).toContain("pg1");
    expect(await json<Row[]>("database instance list")).toEqual([]);
    const version = await json("datastore version show stable --datastore elephant");
    await ok(`datastore version delete ${String(version.id)}`, admin);
    await ok("datastore delete elephant", admin);
    expect(await ok("datastore list")).not.toContain("elephant");
  });

  test("instance force delete takes away what is still being built", async () => {
    await ok("database instance create pg3 --flavor tiny --size 1 --datastore postgresql", admin);
    await ok("database instance force delete pg3", admin);
    await until(async () => (await json<Row[]>("database instance list", admin)).length === 0, "pg3 to go", 60_000);
  });
}
