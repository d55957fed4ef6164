import { afterEach, beforeEach, expect, test } from "vitest";
import { create as createBackup } from "#core/backup/create";
import { windowOf } from "#core/backup/moment";
import { pruneArchives } from "#core/backup/prune";
import { remove as removeBackup } from "#core/backup/remove";
import { restoring, type Target } from "#core/backup/restore";
import { nameId } from "#core/datastore/seed";
import type { Archive } from "#core/guest/protocol";
import { remove } from "#core/instance/remove";
import { act } from "#test/support/guests";
import { createWorld, type World } from "#test/support/world";

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

const call = { signal: new AbortController().signal };
const MINUTE = 60_000;
const target: Target = { datastoreId: nameId("postgresql"), version: "17.10", volumeGb: 1 };
const now = () => world.clock.now();
const at = (minutes: number) => new Date(start + minutes * MINUTE);
let start = 0;

/** An instance whose WAL has been archived for as long as it is there. */
async function archived(): Promise<string> {
  const id = await world.create();
  await world.drive();
  start = now().getTime();
  await world.db.owner`insert into wal_archive (instance_id, project_id, granted_until, prune_at) values (${id}, 'p1', ${now()}, ${now()})`;
  return id;
}
async function tell(id: string, change: Partial<Archive> = {}) {
  const { projectId, generation } = await world.row(id);
  const archive: Archive = { systemIdentifier: "7000000000000000001", timeline: 1, earliest: at(0).toISOString(), latest: now().toISOString(), gaps: [], pendingBytes: 0, ...change };
  await world.asSystem(() => act({ instanceId: id, projectId, generation }, { archive }));
}
async function backUp(instanceId: string): Promise<string> {
  const { backup } = await world.as(world.tenant, () => createBackup({ instanceId, name: "b", incremental: false }, world.config));
  await world.drive();
  return backup.id;
}
const stoppedAt = async (id: string) => (await world.backups()).find((one) => one.id === id)?.stopped_at as Date;
const restore = (moment: { instanceId?: string; backupId?: string; time: Date }) => world.as(world.tenant, () => restoring(moment, target, world.objects));
const window = (id: string) => world.as(world.tenant, () => windowOf(id));
const put = (id: string, name: string) => world.objects.put({ projectId: "p1", name: "wal" }, `${id}/${name}`, (async function* () { yield Buffer.from("x"); })(), {}, call);
const stored = async (id: string) => ((await world.objects.list({ projectId: "p1", name: "wal" }, { prefix: `${id}/`, limit: 100 }, call)) ?? []).map(({ name }) => name.slice(id.length + 1));

test("the window reaches from the end of the first backup to where the archive does, and is told with its gaps", async () => {
  const id = await archived();
  expect(await window(id)).toBeUndefined();
  await tell(id, { pendingBytes: 5, error: "the store is away" });
  expect(await window(id)).toEqual({ gaps: [], pendingBytes: 5, error: "the store is away" });
  world.clock.advance(10 * MINUTE);
  const backup = await backUp(id);
  world.clock.advance(10 * MINUTE);
  await tell(id, { gaps: [{ from: at(1).toISOString(), to: at(2).toISOString() }] });
  expect(await window(id)).toEqual({ earliest: await stoppedAt(backup), latest: now(), gaps: [{ from: at(1), to: at(2) }], pendingBytes: 0 });
});

test("a restore to a moment begins with the newest backup that had ended by then, and says until when", async () => {
  const id = await archived();
  const ids: string[] = [];
  for (let count = 0; count < 3; count++) {
    world.clock.advance(10 * MINUTE);
    ids.push(await backUp(id));
  }
  world.clock.advance(10 * MINUTE);
  await tell(id);
  const second = await stoppedAt(ids[1] ?? "");
  for (const [time, chosen] of [[second, ids[1]], [new Date(second.getTime() - 1000), ids[0]], [now(), ids[2]]] as const) {
    const { restore: told } = await restore({ instanceId: id, time });
    expect([told.chain.map(({ backupId }) => backupId), told.until]).toEqual([[chosen], { time: time.toISOString() }]);
  }
  // Or with one that is named.
  const { restore: named } = await restore({ backupId: ids[0] ?? "", time: now() });
  expect(named.chain.map(({ backupId }) => backupId)).toEqual([ids[0]]);
});

test("a moment that cannot be reached is refused with the bounds in words", async () => {
  const id = await archived();
  world.clock.advance(10 * MINUTE);
  await tell(id);
  await expect(restore({ instanceId: id, time: now() })).rejects.toThrow(/there is no backup of the instance/);
  const backup = await backUp(id);
  world.clock.advance(10 * MINUTE);
  const stop = await stoppedAt(backup);
  await tell(id);
  await expect(restore({ instanceId: id, time: new Date(stop.getTime() - 1) })).rejects.toThrow(`the first backup ended at ${stop.toISOString()}`);
  await expect(restore({ instanceId: id, time: new Date(now().getTime() + 1) })).rejects.toThrow(`the archive reaches to ${now().toISOString()}`);
  const gap = { from: new Date(stop.getTime() + MINUTE).toISOString(), to: new Date(stop.getTime() + 2 * MINUTE).toISOString() };
  await tell(id, { gaps: [gap] });
  await expect(restore({ instanceId: id, time: now() })).rejects.toThrow(`a gap in the archive from ${gap.from} to ${gap.to}`);
  await expect(restore({ instanceId: id, time: new Date(stop.getTime() + MINUTE) })).resolves.toBeDefined();
  await tell(id, { earliest: new Date(stop.getTime() + 3 * MINUTE).toISOString() });
  await expect(restore({ instanceId: id, time: now() })).rejects.toThrow(/does not go on from the backup/);
  await tell(id, { systemIdentifier: "8" });
  await expect(restore({ instanceId: id, time: now() })).rejects.toThrow(/does not go on from the backup/);
  await expect(restore({ instanceId: "11111111-2222-4333-8444-555555555555", time: now() })).rejects.toThrow(/Instance .* cannot be found/);
});

test("an instance that is gone can be restored to a moment for as long as there is a backup of it", async () => {
  const id = await archived();
  const backup = await backUp(id);
  world.clock.advance(10 * MINUTE);
  const told = now();
  await tell(id);
  await world.as(world.tenant, () => remove(id));
  await world.drive();
  expect((await restore({ instanceId: id, time: told })).restore.chain.map(({ backupId }) => backupId)).toEqual([backup]);
});

test("WAL from before the oldest backup is removed, what tells of the archive stays; all goes when instance and backups are gone", async () => {
  const id = await archived();
  const segment = (number: number) => `7/00000001/00000001000000000000000${number}`;
  const prune = () => world.asSystem(() => pruneArchives(world.objects));
  await put(id, segment(1));
  await put(id, "7/00000001/00000002.history");
  await put(id, "7/window");
  world.clock.advance(10 * MINUTE);
  const backup = await backUp(id);
  await put(id, segment(2));
  world.clock.advance(10 * MINUTE);
  await put(id, segment(3));
  await prune();
  expect(await stored(id)).toEqual(["7/00000001/00000002.history", segment(2), segment(3), "7/window"].sort());
  await world.as(world.tenant, () => remove(id));
  await world.drive();
  world.clock.advance(10 * MINUTE);
  await prune();
  expect(await stored(id)).toContain(segment(2));
  await world.as(world.tenant, () => removeBackup(backup));
  world.clock.advance(10 * MINUTE);
  await prune();
  expect([await stored(id), await world.db.owner`select 1 from wal_archive`]).toEqual([[], []]);
});

test("a backup that runs keeps the WAL that it will need, and an archive without any keeps no more than minutes", async () => {
  const id = await archived();
  const prune = () => world.asSystem(() => pruneArchives(world.objects));
  const segment = "7/00000001/000000010000000000000001";
  await world.as(world.tenant, () => createBackup({ instanceId: id, name: "b", incremental: false }, world.config));
  await put(id, segment);
  world.clock.advance(60 * MINUTE);
  await prune();
  expect(await stored(id)).toEqual([segment]);
  world.cannot.add("backup");
  await world.drive();
  world.clock.advance(10 * MINUTE);
  await prune();
  expect(await stored(id)).toEqual([]);
});
