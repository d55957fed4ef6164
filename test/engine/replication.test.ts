import { majors } from "#test/support/extent";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { until } from "#test/support/cluster";
import { refusal } from "#test/support/engine";
import { certify, replicaSet, sourceOf, type Node, type Set } from "#test/support/replicas";

/** Real servers that follow each other, as their agents drive them. */
let set: Set;
afterEach(() => set.close());

const rows = (node: Node) => node.inside("app", async (sql) => (await sql<{ n: number; s: string }[]>`select count(*)::int as n, coalesce(md5(string_agg(id || ':' || body, ',' order by id)), '') as s from t`)[0]);
const insert = (node: Node, count: number) => node.inside("app", (sql) => sql`insert into t (body) select md5(random()::text) from generate_series(1, ${count}::int)`);
const same = (a: Node, b: Node) => until(async () => JSON.stringify(await rows(a)) === JSON.stringify(await rows(b)), `${b.name} to have what ${a.name} has`);

async function started(major: string): Promise<Node> {
  set = await replicaSet(major);
  const source = await sourceOf(set);
  await source.engine.createDatabases({ databases: [{ name: "app" }] });
  await source.inside("app", (sql) => sql`create table t (id bigserial primary key, body text)`);
  await insert(source, 5000);
  return source;
}

describe.each(majors)("PostgreSQL %s", (major) => {
  test("a replica is seeded over TLS under writes, follows, and takes no writes", async () => {
    const source = await started(major);
    const replica = await set.node("a");
    let writing = true;
    const writer = (async () => {
      while (writing) await insert(source, 10);
    })();
    await set.join(source, [replica]).finally(() => (writing = false));
    await writer;
    await same(source, replica);
    expect(await refusal(insert(replica, 1))).toBe("25006");
    await until(async () => (await replica.position()).lagBytes === 0, "the lag to be gone");
    expect(await replica.position()).toMatchObject({ role: "replica", streaming: true, lagBytes: 0, lagSeconds: 0 });
    expect(await source.position()).toMatchObject({ role: "source" });
    const passwords = await stat(join(replica.machine.volumeDirectory, "conf", "passwords"));
    expect(passwords.mode & 0o777).toBe(0o400);
    if (replica.machine.engineUser) expect(passwords.uid).toBe(replica.machine.engineUser.uid);
  });

  test("a switchover leaves every row on both sides, and the former source follows without a copy", async () => {
    const source = await started(major);
    const [a, b] = [await set.node("a"), await set.node("b")];
    await set.join(source, [a, b]);
    await insert(source, 1000);
    const held = await source.replication.hold(source.kept);
    source.kept = held.settings;
    expect(await refusal(insert(source, 1))).toBe("25006");
    a.kept = await a.replication.promote(a.kept, held.position.received);
    await set.serve(a, [source, b]);
    for (const one of [source, b]) {
      const followed = await one.replication.follow(one.kept, set.upstream(a, one));
      expect(followed.seeded).toBe(false);
      one.kept = followed.settings;
    }
    await insert(a, 100);
    await same(a, source);
    await same(a, b);
    expect((await rows(a))?.n).toBe(6100);
    // And back.
    const again = await a.replication.hold(a.kept);
    source.kept = await source.replication.promote(source.kept, again.position.received);
    await set.serve(source, [a, b]);
    for (const one of [a, b]) expect((await one.replication.follow(again.settings, set.upstream(source, one))).seeded).toBe(false);
    await insert(source, 1);
    await same(source, a);
    await same(source, b);
  });

  test("a source that died and wrote more than the replica has is copied anew when it comes back", async () => {
    const source = await started(major);
    const a = await set.node("a");
    await set.join(source, [a]);
    await same(source, a);
    await a.engine.stop();
    await insert(source, 500);
    process.kill(await source.pid(), "SIGKILL");
    await source.engine.stop();
    await a.engine.start(a.kept);
    a.kept = await a.replication.promote(a.kept);
    await insert(a, 7);
    await set.serve(a, [source]);
    const back = await source.replication.follow(source.kept, set.upstream(a, source));
    expect(back.seeded).toBe(true);
    await same(a, source);
    expect((await rows(source))?.n).toBe(5007);
    expect(await refusal(insert(source, 1))).toBe("25006");
    await certify({ ...source, kept: back.settings }, set.authority);
  });
});
