import { expect, test } from "vitest";
import { checkDatabase, checkUser, duplicate } from "#core/instance/names";

test.each(["shop", "a b", "ü".repeat(31), "x".repeat(63), "Template0", "rooted"])("PostgreSQL takes %s for a database", (name) => {
  expect(() => checkDatabase("postgresql", name)).not.toThrow();
});

test.each(["a", "", "ab ", "ab\u00a0", "x".repeat(64), "ü".repeat(32), "a\0b", "postgres", "os_admin", "coffer_owner", "template0", "template1"])(
  "PostgreSQL does not take %j for a database",
  (name) => {
    expect(() => checkDatabase("postgresql", name)).toThrow(expect.objectContaining({ code: "badRequest" }) as Error);
  },
);

test.each(["a", "alice", "a@b", "Root", "x".repeat(63)])("PostgreSQL takes %s for a user", (name) => {
  expect(() => checkUser("postgresql", name)).not.toThrow();
});

test.each(["", "x".repeat(64), "a\0b", "root", "postgres", "os_admin", "coffer_owner", "pg_monitor", "pg_", "public", "none"])(
  "PostgreSQL does not take %j for a user",
  (name) => {
    expect(() => checkUser("postgresql", name)).toThrow(expect.objectContaining({ code: "badRequest" }) as Error);
  },
);

test("an engine without users and databases refuses all of it", () => {
  expect(() => checkUser("redis", "alice")).toThrow(expect.objectContaining({ code: "unprocessableEntity" }) as Error);
});

test("the first value that comes twice is told", () => {
  expect(duplicate(["a", "b", "a", "b"])).toBe("a");
  expect(duplicate(["a", "b"])).toBeUndefined();
  expect(duplicate([])).toBeUndefined();
});
