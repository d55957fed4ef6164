import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { accounts } from "#test/e2e/commands/accounts";
import { administration } from "#test/e2e/commands/administration";
import { backups } from "#test/e2e/commands/backups";
import { catalogue } from "#test/e2e/commands/catalogue";
import { configurations } from "#test/e2e/commands/configurations";
import { alone, elsewhere, unserved } from "#test/e2e/commands/elsewhere";
import { creation, instances, removal } from "#test/e2e/commands/instances";
import { logs } from "#test/e2e/commands/logs";
import { ssl } from "#test/e2e/commands/ssl";
import { Stage } from "#test/e2e/commands/stage";
import { client } from "#test/support/clients";
import { leaks } from "#test/support/service";

/**
 * Every command of the unmodified client: its exit code, what it prints, and what it does to real servers. The list of
 * commands is the client's own, so that none is forgotten. `npm run test:e2e -- test/e2e/commands.test.ts` runs it alone,
 * with `COFFER_CLIENTS=<folder>` by the clients of a system in a folder.
 */
const told = await client("openstack", ["command", "list", "--group", "openstack.database.v1", "-f", "json"]);
const commands = (JSON.parse(told.stdout) as { Commands: string[] }[]).flatMap(({ Commands }) => Commands);
const stage = new Stage();
beforeAll(() => stage.raise());
afterAll(() => stage.strike());

describe("the catalogue", () => catalogue(stage));
describe("creation", () => creation(stage));
describe("databases, users and root", () => accounts(stage));
describe("configuration groups", () => configurations(stage));
describe("logs", () => logs(stage));
describe("backups", () => backups(stage));
// Clients before 8.11 have no commands for it; what they would send is sent by ssl.test.ts.
if (commands.includes("database ssl show")) describe("certificates", () => ssl(stage));
describe("instances", () => instances(stage));
describe("administration", () => administration(stage));
describe("what is not served", () => elsewhere(stage));

test("what was published and set outlives a restart of the service", async () => {
  expect(await stage.restart()).toBe(0);
  await stage.healthy();
  expect(await stage.ok("database log tail pg1 general --lines 0")).toContain("second part");
});

describe("the end", () => removal(stage));

test("every command that the client has succeeded at least once, or stands with a reason among those that cannot", () => {
  expect(commands.length).toBeGreaterThan(78);
  // Some names begin others.
  const named = (line: string) => commands.filter((one) => `${line} `.startsWith(`${one} `)).sort((a, b) => b.length - a.length)[0];
  const succeeded = new Set(stage.ends.filter((one) => one.succeeded).map(({ line }) => named(line)));
  const excused = [...Object.keys(unserved), ...Object.keys(alone)];
  expect(commands.filter((one) => !succeeded.has(one)).sort()).toEqual(excused.sort());
});

test("no password, verifier, token or key of all this stands in any log", async () => {
  expect(await leaks(stage.place, [...stage.printed, stage.service.output()], stage.secrets)).toEqual([]);
});
