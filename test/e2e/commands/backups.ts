import { expect, test } from "vitest";
import type { Row } from "#test/support/clients";
import { until } from "#test/support/cluster";
import type { Stage } from "#test/e2e/commands/stage";

/** Each command once; what is in a backup and comes out of it is seen by backups.test.ts. In order. */
export function backups(stage: Stage) {
  const { ok, json, refused } = stage;
  const show = (id: string) => json<Row>(`database backup show ${id}`);
  async function completed(id: string): Promise<Row> {
    await until(async () => ["COMPLETED", "FAILED"].includes(String((await show(id)).status)), `backup ${id} to end`, 90_000, 200);
    return show(id);
  }
  const names = async (line: string) => (await json<Row[]>(line)).map(({ Name }) => Name).sort();

  test("a strategy chooses the container of one instance's backups", async () => {
    const { id } = await stage.seen("pg1");
    await ok(`database backup strategy create --instance-id ${id} --swift-container of-pg1`);
    expect(await json<Row[]>(`database backup strategy list --instance-id ${id}`)).toMatchObject([{ "Instance ID": id, "Swift Container": "of-pg1" }]);
  });

  test("a backup is made, listed, listed of its instance, and shown with its size and place", async () => {
    const { id } = await json<{ id: string }>("database backup create b1 --instance pg1 --description first");
    expect(await completed(id)).toMatchObject({ name: "b1", description: "first", status: "COMPLETED", locationRef: expect.stringContaining(`/of-pg1/backups/${id}/manifest`) as string });
    await stage.healthy();
    const more = await json<{ id: string }>("database backup create b2 --instance pg1 --incremental");
    expect(await completed(more.id)).toMatchObject({ status: "COMPLETED", parent_id: id });
    await stage.healthy();
    expect([await names("database backup list"), await names("database backup list instance pg1")]).toEqual([["b1", "b2"], ["b1", "b2"]]);
  });

  test("a backup is deleted with those that build on it, and a strategy by its instance", async () => {
    await ok("database backup delete b1");
    expect(await names("database backup list")).toEqual([]);
    expect(await refused("database backup show b2")).toMatch(/b2/);
    const { id } = await stage.seen("pg1");
    await ok(`database backup strategy delete --instance-id ${id}`);
    expect(await json<Row[]>("database backup strategy list")).toEqual([]);
  });
}
