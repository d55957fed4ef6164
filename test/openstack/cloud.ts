import { readFile } from "node:fs/promises";
import { system } from "#core/actor";
import { systemClock } from "#core/clock";
import { enter } from "#core/context";
import { Database } from "#core/db/index";
import { localFlavors, seedCatalogue } from "#core/instance/catalogue";
import { clientEnv, passwordOf, startKeystone, type Keystone } from "#test/support/openstack/keystone";
import { startProxy } from "#test/support/openstack/proxy";
import { startPlane } from "#test/support/server/plane";
import { run } from "#test/support/service";

/** Of every user that `people` makes. */
export const PASSWORD = "keystone-user-secret";
/** Clients start slowly where others work as well. */
const LONG_MS = 250_000;
export const SERVICE_PASSWORD = "keystone-trove-secret";

/** A real Keystone, a server of one's own beside it, a proxy through which others can reach it, and the catalogue entry that OPENSTACK.md says how to make. */
export async function startCloud() {
  const keystone = await startKeystone();
  const proxy = await startProxy(keystone.url);
  const plane = await startPlane();
  Object.assign(plane.env, { COFFER_KEYSTONE_URL: keystone.url, COFFER_KEYSTONE_PASSWORD: SERVICE_PASSWORD });
  const migrated = await plane.migrate();
  if (migrated.code !== 0) throw new Error(migrated.stderr);
  const db = new Database(plane.systemUrl, { max: 1, prepare: true });
  await enter({ db, actor: system("test"), clock: systemClock }, () =>
    seedCatalogue({ flavors: localFlavors, datastores: [{ name: "postgresql", manager: "postgresql", versions: [{ name: "17", version: "17.10", isDefault: true }] }] }),
  );
  await db.close();
  const server = await plane.start();
  const people = await peopleOf(keystone);
  return {
    keystone,
    proxy,
    plane,
    server,
    people,
    /** The commands that the page for operators gives, as they stand there. */
    async register() {
      const [, commands = ""] = /```sh\n([^]*?)```/.exec(await readFile("OPENSTACK.md", "utf8")) ?? [];
      return run("bash", ["-euc", commands], { ...keystone.env, COFFER_URL: server.url, COFFER_KEYSTONE_PASSWORD: SERVICE_PASSWORD }, LONG_MS);
    },
    /** The service user alone, without the client, which takes its time. */
    async enlist() {
      const project = (await keystone.admin("POST", "/projects", { project: { name: "service", domain_id: "default" } })).project.id;
      const user = (await keystone.admin("POST", "/users", { user: { name: "trove", password: SERVICE_PASSWORD, domain_id: "default" } })).user.id;
      await keystone.admin("PUT", `/projects/${project}/users/${user}/roles/${people.roleId("admin")}`);
    },
    /** Unmodified client; `as` is added to the variables for Keystone's address. */
    openstack: (command: string, as: Record<string, string>) => run("openstack", command.split(" "), clientEnv(keystone.url, as), LONG_MS),
    /** A request to the API; `at` is another server. */
    async api(token: string | undefined, method: string, path: string, { body, at = server.url }: { body?: object; at?: string } = {}) {
      const reply = await fetch(at + path, { method, headers: { ...(token && { "x-auth-token": token }), ...(body && { "content-type": "application/json" }) }, ...(body && { body: JSON.stringify(body) }) });
      const text = await reply.text();
      return { status: reply.status, headers: reply.headers, json: (text === "" ? {} : JSON.parse(text)) as Record<string, { code: number; message: string }> };
    },
    async close() {
      await plane.close();
      await proxy.close();
      await keystone.stop();
    },
  };
}
export type Cloud = Awaited<ReturnType<typeof startCloud>>;

/** Users of the project `demo`, one per role, and one `demo` of a project `demo` in another domain. */
async function peopleOf(keystone: Keystone) {
  const { roles } = await keystone.admin("GET", "/roles");
  const roleId = (name: string) => (roles as unknown as { id: string; name: string }[]).find((one) => one.name === name)?.id ?? "";
  const projectOf = async (domain: string) => (await keystone.admin("POST", "/projects", { project: { name: "demo", domain_id: domain } })).project.id;
  const person = async (name: string, role: string, project: string, domain: string) => {
    const { user } = await keystone.admin("POST", "/users", { user: { name, password: PASSWORD, domain_id: domain } });
    await keystone.admin("PUT", `/projects/${project}/users/${user.id}/roles/${roleId(role)}`);
    const identity = passwordOf(name, PASSWORD, domain);
    return {
      id: user.id,
      name,
      project,
      roleId: roleId(role),
      identity,
      /** Variables of the clients, with a password. */
      env: { OS_USERNAME: name, OS_PASSWORD: PASSWORD, OS_PROJECT_NAME: "demo", OS_USER_DOMAIN_ID: domain, OS_PROJECT_DOMAIN_ID: domain },
      token: () => keystone.login({ identity, scope: { project: { id: project } } }),
    };
  };
  const other = (await keystone.admin("POST", "/domains", { domain: { name: "other" } })).domain.id;
  const [here, there] = [await projectOf("default"), await projectOf(other)];
  return {
    roleId,
    domain: other,
    member: await person("demo", "member", here, "default"),
    reader: await person("auditor", "reader", here, "default"),
    boss: await person("boss", "admin", here, "default"),
    namesake: await person("demo", "member", there, other),
  };
}
