import { afterAll, beforeAll, expect, test } from "vitest";
import { Catalogue } from "#core/openstack/catalogue";
import { Session } from "#core/openstack/session";
import { movableClock } from "#test/support/clock";
import { startKeystone, type Keystone } from "#test/support/openstack/keystone";

/** How services of a cloud are found in the catalogue of OpenStack's own Keystone. */
let keystone: Keystone;
beforeAll(async () => {
  keystone = await startKeystone();
  await keystone.admin("POST", "/regions", { region: { id: "North" } });
});
afterAll(() => keystone?.stop());

const clock = movableClock(new Date());
const catalogueOf = () => new Catalogue(new Session({ url: keystone.url, username: "admin", password: keystone.password, projectName: "admin", clock }), clock);

async function register(type: string, endpoints: [face: string, region: string, url: string][]) {
  const { service } = await keystone.admin("POST", "/services", { service: { type, name: type } });
  for (const [face, region, url] of endpoints) await keystone.admin("POST", "/endpoints", { endpoint: { service_id: service.id, interface: face, region_id: region, url } });
}

test("an endpoint is found by type, interface and region, with the project in it", async () => {
  await register("volumev3", [["internal", "RegionOne", "http://one.example/v3/%(project_id)s"], ["internal", "North", "http://north.example/v3/$(project_id)s/"], ["public", "RegionOne", "https://public.example/v3"]]);
  const catalogue = catalogueOf();
  const project = (await keystone.admin("GET", "/projects?name=admin")).projects[0]?.id ?? "";
  expect(await catalogue.endpoint({ type: "volumev3", region: "RegionOne" })).toBe(`http://one.example/v3/${project}`);
  expect(await catalogue.endpoint({ type: "volumev3", region: "North" })).toBe(`http://north.example/v3/${project}`);
  expect(await catalogue.endpoint({ type: "volumev3", interface: "public" })).toBe("https://public.example/v3");
  expect(await catalogue.endpoint({ type: "identity" })).toBe(keystone.url);
});

test("what is not there, or is there several times, is told with what there is", async () => {
  const catalogue = catalogueOf();
  await expect(catalogue.endpoint({ type: "volumev3" })).rejects.toMatchObject({ code: "serviceUnavailable", message: "The catalogue has an endpoint 'internal' of a service 'volumev3' in several regions." });
  await expect(catalogue.endpoint({ type: "volumev3", region: "South" })).rejects.toMatchObject({
    message: "The catalogue has no endpoint 'internal' of a service 'volumev3' in the region 'South'.",
    next: expect.stringMatching(/^It has: .*internal in North/) as string,
  });
  await expect(catalogue.endpoint({ type: "compute" })).rejects.toMatchObject({ next: "Register the service in Keystone." });
});

test("a service that is registered later is found five minutes after the last look at most", async () => {
  const catalogue = catalogueOf();
  await expect(catalogue.endpoint({ type: "image" })).rejects.toThrow("no endpoint");
  await register("image", [["internal", "RegionOne", "http://image.example"]]);
  await expect(catalogue.endpoint({ type: "image" })).rejects.toThrow("no endpoint");
  clock.advance(300_000);
  expect(await catalogue.endpoint({ type: "image" })).toBe("http://image.example");
});
