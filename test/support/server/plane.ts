import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { systemClock } from "#core/clock";
import { createFakeCloud } from "#core/driver/fake/index";
import { systemRandom } from "#core/id";
import { createAuthority } from "#core/pki";
import { startQueue } from "#functions/local/queue";
import { startCluster, temporary, until } from "#test/support/cluster";
import { bundle } from "#test/support/lambda/bundle";
import { forwardTo } from "#test/support/lambda/forward";
import { serveCloud } from "#test/support/server/cloud-server";
import { actAll } from "#test/support/server/guests";
import { startServerProcess, type ServerProcess } from "#test/support/server/process";
import { run } from "#test/support/service";

const secrets = { COFFER_APP_PASSWORD: "app/password%app@", COFFER_SYSTEM_PASSWORD: "system-password-system" };

/**
 * All that servers of one's own stand on, but identity: a PostgreSQL, an SQS-compatible queue, and a fake cloud in this process whose
 * guests do as they are told. `env` lacks the variables COFFER_KEYSTONE_*; whoever starts servers adds them.
 */
export async function startPlane() {
  const root = await temporary("coffer-servers-");
  const cluster = await startCluster();
  const path = `${cluster.socketDirectory}/.s.PGSQL.5432`;
  const way = await forwardTo(path);
  const admin = postgres(cluster.url("postgres"), { path, max: 1, onnotice: () => {} });
  await until(() => admin`select 1`.then(() => true, () => false), "the server");
  await admin`create database coffer`;
  await admin.end();
  const owner = postgres(cluster.url("coffer"), { path, max: 2, onnotice: () => {} });
  const queue = await startQueue();
  const cloud = createFakeCloud({ random: systemRandom, clock: systemClock, latencyMs: 20, activeAfterMs: 50 });
  let meanwhile: Parameters<typeof serveCloud>[1] = () => {};
  const endpoint = await serveCloud(cloud, (asked) => meanwhile(asked));
  const authority = await createAuthority("0123456789", new Date());
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? "",
    DATABASE_URL: `postgres://127.0.0.1:${way.port}/coffer`,
    ...secrets,
    COFFER_QUEUE_URL: queue.queueUrl,
    AWS_ENDPOINT_URL_SQS: queue.endpoint,
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    COFFER_CLOUD: "fake",
    COFFER_TEST_CLOUD: endpoint.url,
    COFFER_GUEST_URL: "https://127.0.0.1:8780/guest/v1",
    COFFER_ROOT_KEY: "07".repeat(32),
    COFFER_CA_CERTIFICATE: authority.certificate.trim(),
    COFFER_CA_KEY: authority.key.trim(),
    COFFER_PORT: "0",
    COFFER_GUEST_PORT: "0",
    COFFER_SWEEP_SECONDS: "2",
    COFFER_HTTP_RATE_PER_MINUTE: "100000",
    COFFER_MAX_INSTANCES: "100",
    COFFER_MAX_VOLUMES_GB: "1000",
    COFFER_HOME: join(root, "home"),
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
  };
  const build = join(root, "build");
  await bundle("functions/server/main.ts", join(build, "server.mjs"), { fakes: "test/support/server/cloud.ts" });
  await cp("core/db/migrations", join(build, "migrations"), { recursive: true });
  const servers = new Set<ServerProcess>();
  const dismiss = actAll(cloud, authority.certificate, () => [...servers].map(({ guestPort }) => guestPort));
  const urlOf = (user: string, password: string) => `postgres://${user}:${password}@127.0.0.1:${way.port}/coffer`;
  const npm = (script: string, change: Record<string, string> = {}) => run("npm", ["run", "--silent", script], { ...env, ...change });
  return {
    owner,
    queue,
    cloud,
    /** Names of all that was ever created in the cloud. */
    created: endpoint.created,
    /** Called with every call to the cloud whose effect is there and whose answer has not been sent. */
    onCall: (told: typeof meanwhile) => void (meanwhile = told),
    /** As the role that serves the work itself. */
    systemUrl: urlOf("coffer_system", secrets.COFFER_SYSTEM_PASSWORD),
    /** Runs a script of package.json in the servers' environment. */
    npm,
    /** `npm run migrate`, as the owner of the schema. */
    migrate: () => npm("migrate", { DATABASE_URL: urlOf("owner", "owner-password") }),
    env,
    async start(change: Record<string, string> = {}): Promise<ServerProcess> {
      const started = await startServerProcess(join(build, "server.mjs"), build, { ...env, ...change });
      servers.add(started);
      void started.ended.then(() => servers.delete(started));
      return started;
    },
    async close() {
      await dismiss();
      for (const one of servers) await one.kill("SIGKILL");
      await endpoint.close();
      await queue.stop();
      await owner.end();
      await way.close();
      await cluster.stop();
      await rm(root, { recursive: true, force: true });
    },
  };
}
export type Plane = Awaited<ReturnType<typeof startPlane>>;
