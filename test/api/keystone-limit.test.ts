import { expect, test } from "vitest";
import { limitOf } from "#core/identity/limit";
import { ExpiringMap } from "#core/identity/lru";

test("a limit runs jobs in order, no more at once than allowed, and refuses what the queue cannot hold", async () => {
  const limit = limitOf({ running: 2, waiting: 3, name: "It" });
  let active = 0;
  let most = 0;
  const order: number[] = [];
  const job = (at: number) => async () => {
    most = Math.max(most, ++active);
    await Promise.resolve();
    order.push(at);
    active--;
    if (at === 1) throw new Error("failed");
    return at;
  };
  const settled = await Promise.allSettled(Array.from({ length: 7 }, (_, at) => limit(job(at))));
  expect(settled.map((one) => one.status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled", "fulfilled", "rejected", "rejected"]);
  expect(settled[6]).toMatchObject({ reason: { code: "serviceUnavailable", reason: "identity.overloaded" } });
  expect([most, order]).toEqual([2, [0, 1, 2, 3, 4]]);
  expect(await limit(job(9))).toBe(9);
});

test("the map never holds more than its capacity, keeps what is used, and forgets what has ended", () => {
  const map = new ExpiringMap<number>(3);
  for (let at = 0; at < 3; at++) map.set(`k${at}`, at, 100);
  expect(map.get("k0", 0)?.value).toBe(0);
  map.set("k3", 3, 100);
  expect([map.get("k1", 0), map.get("k0", 0)?.value, map.size]).toEqual([undefined, 0, 3]);
  map.set("k0", 7, 100);
  expect([map.get("k0", 99)?.value, map.size]).toEqual([7, 3]);
  expect([map.get("k0", 100), map.size]).toEqual([undefined, 2]);
});
