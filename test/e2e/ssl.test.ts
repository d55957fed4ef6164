import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "#test/support/cluster";
import { openstackOf, type OpenStack } from "#test/support/clients";
import { openssl, type Issued, type OpenSsl } from "#test/support/pkcs12";
import { installation, run, type Running } from "#test/support/service";

/**
 * A certificate of one's own, from `openstack secret store` (Debian's python3-barbicanclient) to psql. Debian's
 * client of Trove is older than its SSL commands: what they send is sent by HTTP.
 */
let place: Awaited<ReturnType<typeof installation>>;
let service: Running;
let tool: OpenSsl;
let ca: Issued;
let openstack: OpenStack;
let url = "";
let token = "";
const printed: string[] = [];
beforeAll(async () => {
  place = await installation();
  openstack = openstackOf(place);
  service = await place.start();
  tool = await openssl();
  ca = await tool.authority();
});
afterAll(async () => {
  await service?.stop();
  await place?.remove();
  await tool?.close();
});

async function ssl(id: string, wish?: Record<string, unknown>): Promise<Record<string, unknown>> {
  const reply = await fetch(`${url}/instances/${id}/ssl${wish ? "" : "?include_certificate=True"}`, {
    method: wish ? "POST" : "GET",
    headers: { "x-auth-token": token, "content-type": "application/json" },
    ...(wish && { body: JSON.stringify({ ssl: wish }) }),
  });
  const body = (await reply.json()) as { ssl: Record<string, unknown> };
  expect([reply.status, body]).toEqual([200, expect.anything()]);
  return body.ssl;
}

test("a PKCS#12 that was stored by the client demands certificates of psql, over a restart of everything, until it is disabled", async () => {
  const created = await openstack.json<{ id: string }>("database instance create pg1 --flavor small --size 1 --databases app --users ann:pw-of-ann");
  const show = () => openstack.json<{ status: string; operating_status: string; ip: string }>(`database instance show ${created.id}`);
  const healthy = () => until(async () => (({ status, operating_status }) => status === "ACTIVE" && operating_status === "HEALTHY")(await show()), "the instance to be healthy", 60_000);
  await healthy();
  const { ip } = await show();
  const login = async () => {
    [token = "", url = ""] = await Promise.all([openstack.ok("token issue -f value -c id"), openstack.ok("token issue -f value -c project_id").then((project) => `${place.url}/v1.0/${project}`)]);
  };
  await login();
  const psql = async (options: string) => (await run("psql", ["-X", "-At", "-c", "select 1", `host=${ip} user=ann dbname=app connect_timeout=5 ${options}`], { PGPASSWORD: "pw-of-ann" })).code;
  expect((await ssl(created.id)).mode).toBe("builtin");

  const own = await tool.issue(ca, { san: `IP:${ip}` });
  const client = await tool.issue(ca, { cn: "ann", san: "DNS:ann" });
  const bytes = await tool.bundle(own, { password: "pw-of-p12", chain: [ca] });
  for (const [name, text] of [["their.pem", ca.certificate], ["client.pem", client.certificate], ["client.key", client.key]] as const) await writeFile(tool.at(name), text, { mode: 0o600 });
  const container_ref = await openstack.ok(`secret store --name mine --payload ${bytes.toString("base64")} -t application/octet-stream -e base64 -f value -c 'Secret href'`);
  const password_ref = await openstack.ok("secret store --name 'its password' --payload pw-of-p12 -t text/plain -f value -c 'Secret href'");
  expect(await openstack.ok(`secret get ${password_ref} --payload -f value`)).toBe("pw-of-p12");
  expect(await openstack.ok("secret list -f value -c 'Secret href'")).toContain(container_ref);

  expect(await ssl(created.id, { enable: true, container_ref, password_ref, mode: "mtls" })).toEqual({ restart_required: false });
  const trust = `sslmode=verify-full sslrootcert=${tool.at("their.pem")}`;
  const identity = `sslcert=${tool.at("client.pem")} sslkey=${tool.at("client.key")}`;
  const modes = async () => [await psql("sslmode=disable"), await psql(trust), await psql(`${trust} ${identity}`)];
  expect(await modes()).toEqual([2, 2, 0]);
  await until(async () => ((await ssl(created.id)).certificate as { san?: string[] } | undefined)?.san?.[0] === ip, "the new certificate to be reported");
  expect(await ssl(created.id)).toMatchObject({ status: "on", mode: "mtls", certificate: { cn: "db.example", payload: own.certificate } });

  printed.push(service.output());
  await service.stop();
  service = await place.start();
  await healthy();
  expect(await modes()).toEqual([2, 2, 0]);

  await login();
  expect(await ssl(created.id, { disable: true })).toEqual({ restart_required: false });
  expect([await psql("sslmode=disable"), await psql(`sslmode=verify-full sslrootcert=${place.ca}`)]).toEqual([0, 0]);
  expect(await ssl(created.id, { rollback: true })).toEqual({ status: "on", restart_required: false, mode: "mtls" });
  expect(await modes()).toEqual([2, 2, 0]);
  await openstack.ok(`database instance delete ${created.id}`);
  await openstack.ok(`secret delete ${container_ref}`);
  printed.push(service.output());
  for (const secret of ["pw-of-p12", own.key.split("\n")[1] ?? "", token]) expect(printed.join("")).not.toContain(secret);
}, 180_000);
