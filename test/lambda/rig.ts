import { system } from "#core/actor";
import { systemClock } from "#core/clock";
import { enter } from "#core/context";
import { createAuthority } from "#core/pki";
import { seedCatalogue } from "#core/instance/catalogue";
import type { FunctionName } from "#functions/aws/environment";
import { createIdentity, seedIdentity } from "#functions/identity/index";
import { startQueue } from "#functions/local/queue";
import { catalogue } from "#test/api/rig";
import { testDatabase } from "#test/support/db";
import { listen, loginBody, passwords, stop, type Name } from "#test/support/identity";
import { environmentFor } from "#test/support/lambda/environment";
import { forwardTo, type Forward } from "#test/support/lambda/forward";
import { startLambda, type Lambda } from "#test/support/lambda/process";
import { startStates } from "#test/support/lambda/states";

/**
 * What stands around the functions in the cloud, as real endpoints on this machine: PostgreSQL by TCP, SQS, Step
 * Functions as far as it is called, Keystone. `start` gives one environment of a function, on a way to the
 * database of its own, so that its connections can be counted.
 */
export async function createCloud() {
  const db = await testDatabase();
  const asSystem = <T>(work: () => Promise<T>) => enter({ db: db.system, actor: system("test") }, work);
  const queue = await startQueue();
  const states = await startStates();
  const authority = await createAuthority("0123456789", new Date());
  await asSystem(async () => {
    await seedCatalogue(catalogue);
    await seedIdentity(passwords);
  });
  const { server, port } = await listen((request, env) => identity.fetch(request, env));
  const keystone = `http://127.0.0.1:${port}/identity`;
  const identity = createIdentity({
    db: db.system,
    publicUrl: keystone,
    keyManagerUrl: "https://keys.example",
    databaseUrl: (projectId) => `https://api.example/v1.0/${projectId}`,
    signingKey: Buffer.alloc(32, 7),
    clock: systemClock,
    region: "RegionOne",
  });
  const started: { lambda: Lambda; way: Forward }[] = [];

  return {
    db,
    asSystem,
    queue,
    states,
    authority,
    async start(name: FunctionName, env: Record<string, string> = {}) {
      const way = await forwardTo(`${db.urls.socketDirectory}/.s.PGSQL.5432`);
      const role = name === "api" ? "app" : name === "migrate" ? "owner" : "system";
      const lambda = await startLambda(name, {
        fakes: name === "workflow" || name === "cron",
        env: {
          ...environmentFor(name),
          DATABASE_URL: db.urls[role].replace("localhost:5432", `127.0.0.1:${way.port}`),
          COFFER_QUEUE_URL: queue.queueUrl,
          AWS_ENDPOINT_URL_SQS: queue.endpoint,
          AWS_ENDPOINT_URL_SFN: states.url,
          COFFER_KEYSTONE_URL: keystone,
          COFFER_KEYSTONE_PASSWORD: passwords.trove,
          COFFER_CA_CERTIFICATE: authority.certificate.trim(),
          COFFER_CA_KEY: authority.key.trim(),
          ...env,
        },
      });
      started.push({ lambda, way });
      return Object.assign(lambda, { way });
    },
    /** A token, and the id of its project. */
    async login(name: Name): Promise<{ token: string; project: string }> {
      const reply = await fetch(`${keystone}/v3/auth/tokens`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ auth: loginBody(name, passwords[name], name) }),
      });
      const body = (await reply.json()) as { token: { project: { id: string } } };
      return { token: reply.headers.get("x-subject-token") ?? "", project: body.token.project.id };
    },
    async close() {
      for (const { lambda, way } of started) {
        await lambda.stop();
        await way.close();
      }
      await queue.stop();
      await states.stop();
      await stop(server);
      await db.close();
    },
  };
}

export type Cloud = Awaited<ReturnType<typeof createCloud>>;
export type Started = Awaited<ReturnType<Cloud["start"]>>;
