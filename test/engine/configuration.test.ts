import { majors } from "#test/support/extent";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Settings } from "#core/engine/engine";
import type { Overrides } from "#core/parameter/fact";
import { factsOf } from "#core/parameter/index";
import { settings, startedEngine, type Rig } from "#test/support/engine";

const withGroup = (overrides: Overrides, change: Partial<Settings> = {}): Settings => ({ ...settings, ...change, overrides });

describe.each(majors)("PostgreSQL %s", (major) => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startedEngine(major);
    await rig.engine.createDatabases({ databases: [{ name: "app" }] });
    await rig.user("ann", "a", ["app"]);
  });
  afterAll(() => rig.close());
  const told = async (name: string) => {
    const sql = rig.connect("ann", "a", "app");
    const [row] = await sql<{ value: string }[]>`select current_setting(${name}) as value`;
    return row?.value;
  };

  test("dynamic values are in force for new sessions at once, and go again", async () => {
    expect(await rig.engine.applyConfiguration(withGroup({ work_mem: "7MB", autovacuum: false, random_page_cost: 1.25, search_path: "it's, \"a\\b\"" }))).toEqual([]);
    expect([await told("work_mem"), await told("autovacuum"), await told("random_page_cost"), await told("search_path")]).toEqual(["7MB", "off", "1.25", "it's, \"a\\b\""]);
    expect(await rig.engine.applyConfiguration(withGroup({}))).toEqual([]);
    expect([await told("work_mem"), await told("autovacuum"), await told("search_path")]).toEqual(["10280kB", "on", '"$user", public']);
  });

  test("what needs a restart is named, waits for it, and is no longer waiting when taken back", async () => {
    expect(await rig.engine.applyConfiguration(withGroup({ max_connections: 77, work_mem: 8192 }))).toEqual(["max_connections"]);
    expect([await told("max_connections"), await told("work_mem")]).toEqual(["56", "8MB"]);
    expect(await rig.engine.applyConfiguration(withGroup({ work_mem: 8192 }))).toEqual([]);
    expect(await rig.engine.applyConfiguration(withGroup({ max_connections: 77 }))).toEqual(["max_connections"]);
    await rig.engine.restart(withGroup({ max_connections: 77 }));
    expect(await told("max_connections")).toBe("77");
    expect(await rig.engine.applyConfiguration(withGroup({ max_connections: 77 }))).toEqual([]);
  });

  test("a value of a group wins over the flavor's, also after a resize, as far as the machine can carry it", async () => {
    await rig.engine.restart(withGroup({ shared_buffers: "150MB" }, { memoryMb: 1024 }));
    expect([await told("shared_buffers"), await told("maintenance_work_mem")]).toEqual(["150MB", "64MB"]);
    await expect(rig.engine.check(withGroup({ shared_buffers: "500MB" }))).rejects.toMatchObject({ code: "badRequest", message: /shared_buffers = 500MB is more than three quarters of the memory of the flavor \(49152 x 8kB\)/ });
    await expect(rig.engine.check(withGroup({ max_wal_size: 600 }))).rejects.toThrow("max_wal_size = 600 is more than half of the volume (512 x MB)");
    await expect(rig.engine.check(withGroup({ max_connections: 9 }))).rejects.toThrow("less than 10");
    await expect(rig.engine.check(withGroup({ transaction_timeout: "5ms" }))).rejects.toThrow("less than 1000 x ms: no session could begin");
  });

  test("what the server would not take is refused in its own words, and nothing changes", async () => {
    await rig.engine.applyConfiguration(withGroup({ work_mem: "9MB" }));
    for (const [overrides, why] of [
      [{ work_mem: "9XB" }, /invalid value for parameter "work_mem": "9XB"; Valid units/],
      [{ no_such_parameter: 1 }, /unrecognized configuration parameter "no_such_parameter"/],
      [{ timezone: "Nowhere/Land" }, /invalid value for parameter "TimeZone"/],
      [{ work_mem: 1, cpu_tuple_cost: -1 }, /outside the valid range/],
    ] as [Overrides, RegExp][]) {
      await expect(rig.engine.applyConfiguration(withGroup(overrides))).rejects.toMatchObject({ code: "badRequest", message: why });
    }
    expect(await told("work_mem")).toBe("9MB");
    expect((await readdir(join(rig.machine.volumeDirectory, "conf"))).filter((name) => name.startsWith("candidate"))).toEqual([]);
  });

  test("what would reach the host is refused by the engine as well", async () => {
    for (const [name, value] of [
      ["archive_command", "id > /tmp/x"], ["ARCHIVE_COMMAND", "id"], ["shared_preload_libraries", "auto_explain, /tmp/evil"], ["shared_preload_libraries", "pg_stat_statements"],
      ["listen_addresses", "*"], ["include", "/etc/passwd"], ["work_mem = 1\ninclude", "x"], ["log_line_prefix", "a\nssl = off"], ["superuser_reserved_connections", 0],
    ] as const) {
      await expect(rig.engine.applyConfiguration(withGroup({ [name]: value }))).rejects.toMatchObject({ code: "badRequest" });
    }
    // Even if one came through, the platform has the last word in the file.
    const text = await readFile(join(rig.machine.volumeDirectory, "conf", "postgresql.conf"), "utf8");
    expect(text.indexOf("overrides.conf")).toBeLessThan(text.indexOf("archive_command"));
  });

  test("every parameter that is offered is taken by the server, with its least and its most, but for what limits each other or depends on the machine", async () => {
    const tries = factsOf("postgresql", major).flatMap(({ name, type, min, max, values }): [string, string | number | boolean][] => {
      if (type === "boolean") return [[name, true], [name, false]];
      if (values) return values.map((word) => [name, word]);
      return [min, max].filter((value) => value !== undefined).map((value) => [name, value]);
    });
    expect(tries.length).toBeGreaterThan(400);
    // One value for each name at a time: the server names every one that it does not take.
    const rounds: Overrides[] = [];
    for (const [name, value] of tries) {
      const free = rounds.find((round) => !(name in round)) ?? rounds[rounds.push({}) - 1] ?? {};
      free[name] = name === "max_connections" ? Math.max(Number(value), 10) : value;
    }
    const complaints: string[] = [];
    for (const overrides of rounds) {
      await rig.engine.check(withGroup(overrides, { memoryMb: 1e12, volumeGb: 1e12 })).catch((error: Error) => complaints.push(error.message));
    }
    const named = complaints.flatMap((text) => [...text.matchAll(/invalid value for parameter "(\w+)"/g)].map(([, name]) => name)).sort();
    const together = major === "18" ? [] : ["autovacuum_max_workers", "max_connections", "max_worker_processes"];
    expect(named).toEqual(["log_statement_stats", "max_stack_depth", ...together].sort());
  });

  test("the agent's work goes on under values that would stop or betray it", async () => {
    const hostile: Overrides = {
      statement_timeout: 1, lock_timeout: 1, idle_session_timeout: 1, search_path: "nowhere", default_transaction_read_only: true,
      log_statement: "all", log_min_duration_statement: 0, log_transaction_sample_rate: 1, debug_print_rewritten: true, debug_print_parse: true, debug_print_plan: true,
      standard_conforming_strings: false, exit_on_error: true, ...(major !== "16" && { transaction_timeout: 1000 }),
    };
    await rig.engine.applyConfiguration(withGroup(hostile));
    await rig.user("under", "p4ss", ["app"]);
    await rig.engine.createDatabases({ databases: [{ name: "under_db" }] });
    expect((await rig.engine.inventory()).users.map(({ name }) => name)).toContain("under");
    expect(await readFile(join(rig.machine.volumeDirectory, "log", "postgresql.log"), "utf8")).not.toContain("SCRAM-SHA-256$");
    await rig.engine.applyConfiguration(withGroup({}));
  });
});
