import { expect, test } from "vitest";
import { createSeal, sealKey } from "#core/seal";

const seal = createSeal(sealKey(Buffer.alloc(32, 7)));
const plain = Buffer.from("message=secret");

test("what was sealed opens for what it was sealed for, and is never twice the same", () => {
  const [first, second] = [seal.close(plain, "a"), seal.close(plain, "a")];
  expect([seal.open(first, "a"), seal.open(second, "a"), first.equals(second), first.includes("secret")]).toEqual([plain, plain, false, false]);
  expect(seal.open(seal.close(Buffer.alloc(0), "a"), "a")).toHaveLength(0);
});

test("it does not open for another owner, with another key, cut, changed or of another form", () => {
  const sealed = seal.close(plain, "a");
  const changed = Buffer.from(sealed);
  changed[20] = (changed[20] ?? 0) ^ 1;
  const closed = /cannot be opened/;
  expect(() => seal.open(sealed, "b")).toThrow(closed);
  expect(() => createSeal(Buffer.alloc(32, 7)).open(sealed, "a")).toThrow(closed);
  for (const bad of [changed, sealed.subarray(0, -1), sealed.subarray(0, 10), Buffer.alloc(0), Buffer.concat([Buffer.from([2]), sealed.subarray(1)])]) expect(() => seal.open(bad, "a")).toThrow(closed);
});
