import { afterAll, beforeAll, expect, test } from "vitest";
import { system } from "#core/actor";
import { configOf } from "#core/config";
import { enter } from "#core/context";
import { transaction } from "#core/db/index";
import { charge, defaultLimits, release, setLimits, usageOf, type Amounts } from "#core/quota/index";
import { testDatabase } from "#test/support/db";

const limits = defaultLimits(configOf({}));
let db: Awaited<ReturnType<typeof testDatabase>>;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.close());

const user = (projectId: string) => ({ kind: "user", userId: "u", projectId, roles: ["member"], isAdmin: false }) as const;
const as = <T>(projectId: string, work: () => Promise<T>) => enter({ db: db.app, actor: user(projectId) }, () => transaction(work));
const used = async (projectId: string) =>
  Object.fromEntries((await as(projectId, () => usageOf(projectId, limits))).map(({ resource, inUse }) => [resource, inUse]));

test("what is charged and given back adds up, and never falls below zero", async () => {
  await as("a", () => charge("a", { instances: 2, ram: 1024, volumes: 5 }, limits));
  await as("a", () => charge("a", { ram: -512 }, limits));
  expect(await used("a")).toEqual({ instances: 2, ram: 512, volumes: 5, backups: 0 });
  await as("a", () => release("a", { instances: 1, ram: 9999 }));
  expect(await used("a")).toEqual({ instances: 1, ram: 0, volumes: 5, backups: 0 });
  await as("a", () => release("a", { ram: -256 }));
  expect(await used("a")).toMatchObject({ ram: 256 });
});

test("a charge rolls back with its transaction", async () => {
  const failing = as("b", async () => {
    await charge("b", { instances: 1 }, limits);
    throw new Error("later");
  });
  await expect(failing).rejects.toThrow("later");
  expect(await used("b")).toMatchObject({ instances: 0 });
});

test.each<[Amounts, string]>([
  [{ instances: 11 }, "['instances']"],
  [{ instances: 11, volumes: 41, backups: 51 }, "['instances', 'volumes', 'backups']"],
])("%j is over the limit of a project that has used nothing", async (amounts, names) => {
  await expect(as("c", () => charge("c", amounts, limits))).rejects.toMatchObject({ code: "overLimit", message: expect.stringContaining(names) as string });
  expect(await used("c")).toMatchObject({ instances: 0, volumes: 0 });
});

test("a limit below the use refuses more and lets less through; -1 refuses nothing", async () => {
  await as("d", () => charge("d", { volumes: 30 }, limits));
  await enter({ db: db.system, actor: system("admin") }, () => transaction(() => setLimits("d", { volumes: 10 })));
  await expect(as("d", () => charge("d", { volumes: 1 }, limits))).rejects.toMatchObject({ code: "overLimit" });
  await as("d", () => charge("d", { volumes: -5 }, limits));
  await enter({ db: db.system, actor: system("admin") }, () => transaction(() => setLimits("d", { volumes: -1 })));
  await as("d", () => charge("d", { volumes: 100_000 }, limits));
  expect(await used("d")).toMatchObject({ volumes: 100_025 });
});

test("charges that name their resources in different orders do not lock each other out", async () => {
  const one: Amounts = { instances: 1, ram: 1, volumes: 1, backups: 1 };
  const other: Amounts = { backups: 1, volumes: 1, ram: 1, instances: 1 };
  const results = await Promise.allSettled(Array.from({ length: 30 }, (_, n) => as("e", () => charge("e", n % 2 ? one : other, limits))));
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(10);
  expect(await used("e")).toEqual({ instances: 10, ram: 10, volumes: 10, backups: 10 });
});

test("a project cannot charge another one", async () => {
  await expect(as("f", () => charge("a", { instances: 1 }, limits))).rejects.toThrow();
});
