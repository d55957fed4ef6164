import { expect, test } from "vitest";
import { scramVerifier } from "#core/guest/scram";
import { objectStore, station } from "#test/guest/backup-rig";

const user = async (name: string, databases: string[]) => ({ name, verifier: await scramVerifier(name), databases });

test("a backup made by one agent is what another agent's instance begins with; users and databases of the request come on top", async () => {
  const store = await objectStore();
  const source = await station(store);
  await source.prepare({ databases: [{ name: "app" }], users: [await user("ann", ["app"])] });
  await source.engine.connect("ann", "ann", "app")`create table t as select generate_series(1, 1000) as n`;
  const { result, stored } = await source.backup();
  expect(result).toMatchObject({ incremental: false, timeline: 1 });
  const objects = await store.store.list({ projectId: "p", name: "backups" }, { prefix: stored.place.prefix, limit: 1000 }, { signal: new AbortController().signal });
  expect([objects?.length, objects?.reduce((sum, { bytes }) => sum + bytes, 0)]).toEqual([result.parts + 1, result.bytes]);

  const target = await station(store);
  expect(await target.prepare({ volumeGb: 2, restore: { chain: [stored] }, databases: [{ name: "more" }], users: [await user("bob", ["app", "more"])] })).toMatchObject({ ok: true });
  expect(await target.engine.connect("ann", "ann", "app")`select count(*)::int as n from t`).toEqual([{ n: 1000 }]);
  expect(await target.engine.connect("bob", "bob", "more")`select 1 as n`).toEqual([{ n: 1 }]);
  expect(target.plane.syncs.at(-1)?.report).toMatchObject({ serviceStatus: "healthy" });
}, 90_000);
