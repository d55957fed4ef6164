import { expect, test } from "vitest";
import { type Row } from "#test/support/clients";
import type { Stage } from "#test/e2e/commands/stage";

/** What can be ordered, and how much of it; versions as administrators make and change them. */
export function catalogue({ ok, json, refused }: Stage) {
  test("catalog list, token issue and project show answer a member", async () => {
    expect(await ok("catalog list")).toContain("database");
    expect(await json("token issue")).toHaveProperty("project_id");
    expect(await json("project show demo")).toMatchObject({ name: "demo" });
  });

  test("datastores and versions are listed and shown, by name and by id", async () => {
    const [store] = await json<Row[]>("datastore list");
    expect(store).toMatchObject({ Name: "postgresql" });
    expect(await json("datastore show postgresql")).toMatchObject({ id: store?.ID, name: "postgresql", default_version: "17" });
    const versions = await json<Row[]>("datastore version list postgresql");
    expect(versions.map((row) => row.Name).sort()).toEqual(["16", "17", "18"]);
    const shown = await json("datastore version show 17 --datastore postgresql");
    expect(shown).toMatchObject({ name: "17", datastore: store?.ID });
    expect(await json(`datastore version show ${String(shown.id)}`)).toEqual(shown);
  });

  test("flavors are listed and shown, also those of a version; limits are listed", async () => {
    const flavors = await json<Row[]>("database flavor list");
    expect(flavors.map((row) => [row.ID, row.Name, row.RAM])).toEqual([[1, "tiny", 512], [2, "small", 1024], [3, "medium", 2048]]);
    const { id } = await json("datastore version show 17 --datastore postgresql");
    expect(await json<Row[]>(`database flavor list --datastore-type postgresql --datastore-version-id ${String(id)}`)).toEqual(flavors);
    expect(await json("database flavor show small")).toMatchObject({ id: 2, name: "small", ram: 1024 });
    // The client prints the absolute limits as a table of its own, whatever the format.
    expect(await ok("database limit list")).toMatch(/max_instances[^]*10[^]*Verb/);
  });

  test("parameters of a version are listed and shown, by its name and by its id", async () => {
    const { id } = await json("datastore version show 17 --datastore postgresql");
    const parameters = await json<Row[]>("database configuration parameter list 17 --datastore postgresql");
    expect(parameters.length).toBeGreaterThan(183);
    expect(await json<Row[]>(`database configuration parameter list ${String(id)}`)).toEqual(parameters);
    const shown = await json("database configuration parameter show 17 max_connections --datastore postgresql");
    expect(shown).toMatchObject({ name: "max_connections", type: "integer", restart_required: true });
    expect(parameters.find((row) => row.Name === "max_connections")).toMatchObject({ Type: "integer", "Restart Required": true, "Max Size": shown.max });
    expect(await refused("database configuration parameter show 17 archive_command --datastore postgresql")).toMatch(/HTTP 404/);
  });

  test("a version made from tags can be shown, set and ordered; one from an image nobody has is refused", async () => {
    const admin = "coffer-admin";
    await ok("datastore version create lts elephant postgresql '' --image-tags postgresql,17 --active --default --version-number 17", admin);
    expect(await json("datastore version show lts --datastore elephant")).toMatchObject({ name: "lts", version: "17" });
    expect(await refused("datastore version create x elephant postgresql '' --image-tags postgresql,99 --active", admin)).toMatch(/cannot be found/);
    const version = String((await json("datastore version show lts --datastore elephant")).id);
    await ok(`datastore version set ${version} --version-name stable --disable --non-default`, admin);
    expect(await json<Row[]>("datastore version list elephant")).toEqual([]);
    await ok(`datastore version set ${version} --enable --default`, admin);
    expect(await json("datastore show elephant")).toMatchObject({ name: "elephant", default_version: "stable" });
    expect(await refused("datastore version create y elephant postgresql '' --image-tags postgresql,17 --active")).toMatch(/HTTP 401/);
  });
}
