import { afterAll, beforeAll, expect, test } from "vitest";
import { scramVerifier } from "#core/guest/scram";
import { refusal, startedEngine, type Rig } from "#test/support/engine";

let rig: Rig;
beforeAll(async () => {
  rig = await startedEngine();
  await rig.engine.createDatabases({ databases: [{ name: "app" }] });
});
afterAll(() => rig.close());

test("the verifier of the example in RFC 7677 has the keys that its exchange proves", async () => {
  const salt = Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64");
  expect(await scramVerifier("pencil", () => salt)).toBe(
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
  );
});

test("two verifiers of one password differ", async () => {
  expect(await scramVerifier("same")).not.toBe(await scramVerifier("same"));
});

test.each(["plain", "  blanks  ", "ünïcödé", "I\u00adX", "\u2168", "nonbreaking\u00a0space", "emoji 🐘", "quote'\"\\", "bell\u0007", "\u200bzero-width", "ﷺ mixed אב left"])(
  "PostgreSQL takes %j for the password whose verifier we computed",
  async (password) => {
    await rig.user("ann", password, ["app"]);
    // The driver does not prepare passwords; PostgreSQL's own preparation is compared through a verifier that PostgreSQL made.
    const [row] = await rig.inside("postgres", async (sql) => {
      await sql.unsafe(`create role theirs password '${password.replaceAll("'", "''")}'`);
      const found = await sql<{ verifier: string }[]>`select rolpassword as verifier from pg_authid where rolname = 'theirs'`;
      await sql.unsafe("drop role theirs");
      return found;
    });
    const theirs = row?.verifier ?? "";
    const salt = Buffer.from(/:(.*?)\$/.exec(theirs)?.[1] ?? "", "base64");
    expect(await scramVerifier(password, () => salt)).toBe(theirs);
  },
);

test("another password is not taken", async () => {
  await rig.user("ann", "right", ["app"]);
  await rig.connect("ann", "right", "app")`select 1`;
  expect(await refusal(rig.connect("ann", "Right", "app")`select 1`)).toBe("28P01");
});
