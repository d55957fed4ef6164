import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { seal, unseal } from "#core/guest/seal";

const { privateKey } = generateKeyPairSync("x25519");
const recipient = createPublicKey(privateKey).export({ type: "spki", format: "der" }).toString("base64");

test("what is sealed opens for its key and its purpose only, and not when changed", () => {
  const sealed = seal(recipient, "this", "a secret");
  expect(sealed).not.toContain(Buffer.from("a secret").toString("base64").slice(0, 8));
  expect(unseal(privateKey, "this", sealed)).toBe("a secret");
  expect(() => unseal(privateKey, "that", sealed)).toThrow(/another agent or another purpose/);
  expect(() => unseal(generateKeyPairSync("x25519").privateKey, "this", sealed)).toThrow(/another agent/);
  const bytes = Buffer.from(sealed, "base64");
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect(() => unseal(privateKey, "this", changed.toString("base64"))).toThrow();
  }
  expect(() => unseal(privateKey, "this", "")).toThrow(/another agent/);
});

test("only for an X25519 key", () => {
  const other = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "der" }).toString("base64");
  for (const key of ["", "nonsense", other]) expect(() => seal(key, "this", "text")).toThrow(/X25519/);
});
