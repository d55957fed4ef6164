import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { client, python, variablesOf } from "#test/support/clients";
import { until } from "#test/support/cluster";
import { installation, type Running } from "#test/support/service";

/** What programs and older scripts use, unmodified, against a started service with real engines. The scripts stand in `python/`. */
let place: Awaited<ReturnType<typeof installation>>;
let service: Running;
let env: Record<string, string>;
beforeAll(async () => {
  place = await installation({ COFFER_HTTP_RATE_PER_MINUTE: "100000" });
  service = await place.start();
  env = await variablesOf(place, "demo");
});
afterAll(async () => {
  await service?.stop();
  await place?.remove();
});

test("every method of the Python library (troveclient.v1) does what it says, or is refused as the contract says", async () => {
  const scratch = await mkdtemp(join(tmpdir(), "coffer-library-"));
  const { OS_PASSWORD: password = "" } = await variablesOf(place, "admin");
  const { code, stdout, stderr } = await python("library", { ...env, ADMIN_PASSWORD: password, SCRATCH: scratch });
  await rm(scratch, { recursive: true, force: true });
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  expect((JSON.parse(stdout) as { called: number }).called).toBeGreaterThan(110);
});

test("every method of openstacksdk's database proxy does what it says", async () => {
  const { code, stdout, stderr } = await python("sdk", { OS_CLIENT_CONFIG_FILE: place.clouds, OS_CLOUD: "coffer-alt" });
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  expect((JSON.parse(stdout) as { called: number }).called).toBeGreaterThan(18);
});

test("the older command creates, lists, shows and deletes an instance and its users, and shows what can be ordered", async () => {
  const trove = async (...args: string[]) => {
    const { code, stdout, stderr } = await client("trove", args, env);
    expect(`${code} ${stderr}`, args.join(" ")).toMatch(/^0 /);
    return stdout;
  };
  expect(await trove("datastore-list")).toContain("postgresql");
  expect(await trove("datastore-version-list", "postgresql")).toContain("17");
  expect(await trove("flavor-list")).toContain("tiny");
  expect(await trove("limit-list")).toContain("max_instances");
  await trove("create", "old1", "1", "--size", "1", "--datastore", "postgresql", "--datastore_version", "17", "--databases", "app", "--users", "alice:pw-of-alice");
  await until(async () => /operating_status *\| HEALTHY/.test(await trove("show", "old1")), "old1 to be HEALTHY", 60_000);
  expect(await trove("list")).toContain("old1");
  expect(await trove("user-list", "old1")).toContain("alice");
  await trove("user-create", "old1", "bob", "pw-of-bob", "--databases", "app");
  await until(async () => (await trove("user-show-access", "old1", "bob")).includes("app"), "bob", 20_000);
  await trove("database-create", "old1", "shop");
  await until(async () => (await trove("database-list", "old1")).includes("shop"), "shop", 20_000);
  expect(await trove("root-show", "old1")).toContain("False");
  expect(await trove("configuration-default", "old1")).toContain("shared_buffers");
  expect(await trove("log-list", "old1")).toContain("general");
  // Its `update` calls what its own library no longer has.
  await trove("restart", "old1");
  await until(async () => /operating_status *\| HEALTHY/.test(await trove("show", "old1")), "old1 to be HEALTHY", 60_000);
  await trove("delete", "old1");
  await until(async () => !(await trove("list")).includes("old1"), "old1 to go", 60_000);
});
