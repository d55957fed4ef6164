import { createHash, generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { system } from "#core/actor";
import { systemClock, type Clock } from "#core/clock";
import { enter } from "#core/context";
import { transaction } from "#core/db/index";
import { nameId } from "#core/datastore/seed";
import { Agent } from "#core/guest/agent/agent";
import { enqueue, outcome } from "#core/guest/client";
import { PROTOCOL, type Boot, type JobKind, type JobSpec } from "#core/guest/protocol";
import { localFlavors, seedCatalogue } from "#core/instance/catalogue";
import { createAuthority, issue } from "#core/pki";
import { createDoorbell } from "#functions/aws/doorbell";
import { createDoorbellHandler } from "#functions/doorbell/handler";
import { createGuestApp } from "#functions/guest/app";
import { listen } from "#functions/node/listen";
import { MemoryEngine, World } from "#test/guest/agent-engine";
import type { testDatabase } from "#test/support/db";
import { startSockets } from "#test/support/lambda/sockets";
import { testSeal } from "#test/support/seal";

export interface RigOptions {
  db: Awaited<ReturnType<typeof testDatabase>>;
  /** Of the control plane and the agents. */
  clock?: Clock;
  /** Seconds. */
  pace?: { poll: number; ping: number; connectedPoll: number };
  /** False = an endpoint of before there were doorbells. */
  offered?: boolean;
  /** Around every invocation of a function. */
  around?: <T>(name: "guest" | "doorbell", work: () => T | Promise<T>) => T | Promise<T>;
  /** Told of every reply of the guest endpoint, with the bytes of its body. */
  answered?: (bytes: number) => void;
}

/** The guest endpoint and the doorbell as they run in the cloud, over real sockets, and real agents that call them. */
export async function doorbellRig({ db, clock = systemClock, pace = { poll: 3600, ping: 3600, connectedPoll: 3600 }, offered = true, around = (_, work) => work(), answered = () => {} }: RigOptions) {
  const asSystem = <T>(work: () => Promise<T>) => enter({ db: db.system, actor: system("test"), clock }, work);
  const authority = await createAuthority("0123456789", new Date());
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const cert = await issue(authority, publicKey.export({ type: "spki", format: "der" }), ["127.0.0.1"], new Date());
  const tls = { cert, key: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
  const versions = [{ name: "17", version: "17.10", isDefault: true }];
  await asSystem(() => seedCatalogue({ flavors: localFlavors, datastores: [{ name: "postgresql", manager: "postgresql", versions }] }));

  let handler: ReturnType<typeof createDoorbellHandler> = async () => ({ statusCode: 500 });
  const sockets = await startSockets({ tls, handler: async (event) => around("doorbell", () => handler(event)) });
  const bell = createDoorbell(sockets.endpoint, { AWS_REGION: "us-east-1", AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" });
  handler = createDoorbellHandler({ db: db.system, bell, clock });

  let syncs = 0;
  const app = createGuestApp({
    db: db.system,
    authority,
    seal: testSeal,
    clock,
    wake: () => {},
    pollSeconds: pace.poll,
    rotateAfterSeconds: 86_400,
    ...(offered && { doorbell: { url: sockets.url, pingSeconds: pace.ping, pollSeconds: pace.connectedPoll } }),
  });
  const guests = await listen({
    port: 0,
    tls,
    setting: "none",
    fetch: async (request, env) => {
      if (request.url.endsWith("/sync")) syncs++;
      const reply = await around("guest", () => app.fetch(request, env));
      const body = await reply.arrayBuffer();
      answered(body.byteLength);
      return new Response(body, reply);
    },
  });
  const agents: Agent[] = [];

  return {
    db,
    asSystem,
    sockets,
    bell,
    handler,
    syncs: () => syncs,
    /** An instance whose server runs, and the boot data of its guest. */
    async instance(): Promise<Boot> {
      const instanceId = randomUUID();
      const token = randomBytes(32).toString("hex");
      const at = clock.now();
      await db.owner`
        insert into instance (id, created_at, updated_at, project_id, created_by, name, task, server_state, service_status,
          service_status_at, datastore_version_id, flavor_id, volume_gb, region, address, port)
        values (${instanceId}, ${at}, ${at}, 'p1', 'ann', 'db', 'NONE', 'ACTIVE', 'new', ${at}, ${nameId("postgresql", "17")}, '1', 1, 'RegionOne', '127.1.1.1', 5432)`;
      await db.owner`
        insert into guest (instance_id, project_id, generation, token_hash, token_expires_at)
        values (${instanceId}, 'p1', 1, ${createHash("sha256").update(token).digest()}, ${new Date(at.getTime() + 86_400_000)})`;
      const url = `https://127.0.0.1:${guests.port}/guest/v1`;
      return { protocol: PROTOCOL, instanceId, generation: 1, url, ca: authority.certificate, token, datastore: { manager: "memory", version: "1" } };
    },
    /** A real agent, running. */
    async agent(boot: Boot, stateDirectory: string): Promise<Agent> {
      const agent = await Agent.open({ boot, stateDirectory, engine: new MemoryEngine(new World()), version: "test", clock });
      agents.push(agent);
      void agent.run();
      return agent;
    },
    /** Accepts a job as the API does, and rings. Returns its id. */
    async job<K extends JobKind>({ instanceId }: Boot, kind: K, spec: JobSpec<K>): Promise<string> {
      const id = await asSystem(() => transaction(() => enqueue({ instanceId, projectId: "p1", generation: 1, kind, spec })));
      await asSystem(() => bell.ring(instanceId));
      return id;
    },
    done: (id: string) => asSystem(async () => (await outcome(id))?.state === "done"),
    /** What is known of the instance's connection. */
    async row({ instanceId }: Boot) {
      const [row] = await db.owner<{ connectionId: string; expiresAt: Date }[]>`
        select connection_id as "connectionId", expires_at as "expiresAt" from guest_doorbell where instance_id = ${instanceId}`;
      return row;
    },
    async stop() {
      for (const agent of agents) await agent.leave();
      await sockets.stop();
      await guests.close();
    },
  };
}

export type DoorbellRig = Awaited<ReturnType<typeof doorbellRig>>;
