import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "#core/clock";
import { createTokenVerifier } from "#core/identity/keystone";
import { startApi, type Api } from "#test/api/rig";
import { client, python } from "#test/support/clients";
import { movableClock } from "#test/support/clock";
import { passwords, startIdentity, type TestIdentity } from "#test/support/identity";

/** Pages as real clients turn them: the API on a port with its identity service, over instances that have no engines. */
let identity: TestIdentity;
let api: Api;
let env: Record<string, string>;
let ids: string[];
beforeAll(async () => {
  identity = await startIdentity({ clock: movableClock(new Date()) });
  const verifier = createTokenVerifier({ url: identity.url, clock: systemClock, username: "trove", password: passwords.trove, projectName: "service" });
  api = await startApi({ deps: { verifier: { verify: (token) => verifier.verify(token), authUrl: `${identity.url}/v3` } } });
  identity.serveDatabases((request) => api.app.fetch(request));
  env = { OS_AUTH_URL: `${identity.url}/v3`, OS_USERNAME: "demo", OS_PASSWORD: passwords.demo, OS_PROJECT_NAME: "demo", OS_USER_DOMAIN_NAME: "Default", OS_PROJECT_DOMAIN_NAME: "Default", OS_REGION_NAME: "RegionOne", OS_IDENTITY_API_VERSION: "3" };
});
afterAll(async () => {
  await api?.close();
  await identity?.close();
});

test("the libraries see 205 instances in pages of any size, each once", async () => {
  const { code, stdout, stderr } = await python("paging", env);
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  ids = JSON.parse(stdout) as string[];
  expect(new Set(ids).size).toBe(206);
});

test("the command lists a page, and all of them page after page", async () => {
  const list = async (...args: string[]) => {
    const { code, stdout, stderr } = await client("openstack", ["database", "instance", "list", "-f", "value", "-c", "ID", ...args], env);
    expect(`${code} ${stderr}`).toMatch(/^0 /);
    return stdout.split("\n").filter(Boolean).sort();
  };
  expect(await list()).toEqual(ids.slice(0, 20));
  const seen: string[] = [];
  for (let page = await list("--limit", "20"); page.length > 0; page = await list("--limit", "20", "--marker", page.at(-1) ?? "")) seen.push(...page);
  expect(seen).toEqual(ids);
});
