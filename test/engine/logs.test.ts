import { majors } from "#test/support/extent";
import { readFile, stat, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { longestLog, olderLog, trimLog } from "#core/engine/postgresql/log";
import { until } from "#test/support/cluster";
import { newVerifier, settings, startedEngine, type Rig } from "#test/support/engine";

const full = { ...settings, logs: ["general"] };

describe.each(majors)("the log general of PostgreSQL %s", (major) => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startedEngine(major);
    await rig.engine.createDatabases({ databases: [{ name: "app" }] });
    await rig.user("ann", "s3cret", ["app"]);
  });
  afterAll(() => rig.close());
  const path = () => rig.engine.logs()[0]?.path ?? "";
  const text = () => readFile(path(), "utf8");
  const asAnn = async (statement: string) => void (await rig.connect("ann", "s3cret", "app").unsafe(statement));

  test("is turned on and off without a restart, for sessions that are there as well", async () => {
    const pid = await rig.pid();
    const session = rig.connect("ann", "s3cret", "app");
    await session`select 'unheard'`;
    await rig.engine.applyLogs(full);
    await rig.engine.applyLogs(full);
    await asAnn("select 'heard'");
    await until(async () => {
      await session`select 'heard in an older session'`;
      return (await text()).includes("heard in an older session");
    }, "the older session to be logged");
    await rig.engine.applyLogs(settings);
    await asAnn("select 'after'");
    const seen = await text();
    expect([seen.includes("statement: select 'heard'"), seen.includes("unheard"), seen.includes("'after'"), await rig.pid()]).toEqual([true, false, false, pid]);
  });

  test("outlives a restart, and a configuration group does not turn it off or on", async () => {
    const group = { ...full, overrides: { log_statement: "none", log_parameter_max_length: "-1" } };
    await rig.engine.restart(group);
    await asAnn("select 'behind the restart'");
    expect(await text()).toContain("behind the restart");
    expect(await rig.inside("app", (sql) => sql`select current_setting('log_statement') as now`)).toEqual([{ now: "all" }]);
    await rig.engine.restart(settings);
  });

  test("has no password of users that are made through the API, and no value that travels apart from its statement", async () => {
    await rig.engine.applyLogs(full);
    const before = (await text()).length;
    const verifier = await newVerifier();
    await rig.engine.createUsers({ users: [{ name: "bob", verifier, databases: ["app"] }] });
    await rig.engine.changePasswords({ users: [{ name: "bob", verifier }] });
    await rig.engine.enableRoot({ verifier });
    await rig.engine.inventory();
    await rig.connect("ann", "s3cret", "app")`select ${"a value of the application"}::text`;
    const seen = (await text()).slice(before);
    expect(seen).toContain("select $1::text");
    expect(seen).not.toMatch(/SCRAM-SHA-256|os_admin@\S+ LOG: {2}(statement|execute)|a value of the application/);
    await rig.engine.applyLogs(settings);
  });

  test("lies where the server's user cannot put a link in the agent's way", async () => {
    const { mode, uid } = await stat(path().replace(/\/[^/]+$/, ""));
    expect([mode & 0o077, uid]).toEqual([0, process.getuid?.()]);
  });
});

test("a log is begun anew at its bound, and what it held stays beside it", async () => {
  const rig = await startedEngine();
  try {
    const [log] = rig.engine.logs();
    if (!log) throw new Error("no log");
    expect(log.previous).toBe(olderLog(log.path));
    const held = await readFile(log.path, "utf8");
    await trimLog(log.path, held.length);
    expect(await readFile(log.path, "utf8")).toBe(held);
    await writeFile(log.path, "x".repeat(100), { flag: "a" });
    await trimLog(log.path, held.length);
    expect([await readFile(log.path, "utf8"), await readFile(log.previous, "utf8")]).toEqual(["", held + "x".repeat(100)]);
  } finally {
    await rig.close();
  }
});

test("the bound is 16 MB, or a twentieth of the volume where every statement is logged", () => {
  const megabytes = (volumeGb: number, isFull: boolean) => longestLog({ volumeGb, full: isFull }) / 1024 ** 2;
  expect([megabytes(1, false), megabytes(100, false), megabytes(1, true), megabytes(100, true)]).toEqual([16, 16, 51.2, 256]);
});
