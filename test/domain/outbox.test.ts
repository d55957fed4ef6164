import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Actor } from "#core/actor";
import { enter } from "#core/context";
import { transaction } from "#core/db/index";
import { emit, sendOwn, type Publisher } from "#core/db/outbox";
import { testDatabase } from "#test/support/db";

let db: Awaited<ReturnType<typeof testDatabase>>;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.close());

const tenant = (projectId: string): Actor => ({ kind: "user", userId: "u", projectId, roles: ["member"], isAdmin: false });

/** A queue whose calls end when the test says so. */
function queue() {
  const calls: { bodies: string[]; end: (error?: Error) => void }[] = [];
  const publisher: Publisher = {
    publish: (messages) =>
      new Promise((done, fail) => {
        calls.push({ bodies: messages.map(({ body }) => body), end: (error) => (error ? fail(error) : done(messages.map(({ id }) => id))) });
      }),
  };
  return { calls, publisher };
}

/** Commits one message for a project and sends it. */
const send = (publisher: Publisher, projectId: string) =>
  enter({ db: db.app, actor: tenant(projectId) }, async () => {
    await transaction(() => emit({ topic: "operation.run", projectId, payload: { operationId: randomUUID(), run: 1 } }));
    await sendOwn(publisher);
  });
const unsent = async (projectId: string) => (await db.owner`select id from outbox where project_id = ${projectId} and sent_at is null`).length;
const stored = (projectId: string, count: number) => expect.poll(() => unsent(projectId)).toBe(count);

test("who comes while a call of the queue is under way shares the next, each project for itself, and all is noted", async () => {
  const { calls, publisher } = queue();
  const first = send(publisher, "a");
  await expect.poll(() => calls.length).toBe(1);
  const more = Array.from({ length: 14 }, () => send(publisher, "a"));
  const other = send(publisher, "b");
  await stored("a", 15);
  await expect.poll(() => calls.length).toBe(2);
  expect(calls.map(({ bodies }) => bodies.length)).toEqual([1, 1]);
  for (const { end } of calls) end();
  await Promise.all([first, other]);
  // SendMessageBatch takes ten.
  await expect.poll(() => calls.length).toBe(3);
  calls[2]?.end();
  await expect.poll(() => calls.length).toBe(4);
  calls[3]?.end();
  await Promise.all(more);
  expect(calls.map(({ bodies }) => bodies.length)).toEqual([1, 1, 10, 4]);
  expect(new Set(calls.flatMap(({ bodies }) => bodies)).size).toBe(16);
  expect([await unsent("a"), await unsent("b")]).toEqual([0, 0]);
});

test("a call that fails is told to those whose messages it carried; who waits meanwhile is sent all the same", async () => {
  const { calls, publisher } = queue();
  const first = send(publisher, "c");
  const failed = expect(first).rejects.toThrow("away");
  await expect.poll(() => calls.length).toBe(1);
  const second = send(publisher, "c");
  await stored("c", 2);
  calls[0]?.end(new Error("away"));
  await failed;
  await expect.poll(() => calls.length).toBe(2);
  calls[1]?.end();
  await second;
  expect(await unsent("c")).toBe(1);
});
