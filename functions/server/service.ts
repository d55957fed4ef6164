import { SQSClient } from "@aws-sdk/client-sqs";
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { system } from "#core/actor";
import { systemClock } from "#core/clock";
import { enter } from "#core/context";
import { installationId } from "#core/db/migrate";
import { republish } from "#core/db/outbox";
import { drain } from "#core/event/drain";
import type { Doorbell } from "#core/guest/client";
import { createSeal, sealKey } from "#core/seal";
import { Runner } from "#core/workflow/run";
import { releaseLeases } from "#core/workflow/step";
import { createApp } from "#functions/api/app";
import { openCloud } from "#functions/aws/cloud";
import { openIdentity } from "#functions/aws/identity";
import { createSweep } from "#functions/cron/sweep";
import { sinkOf } from "#functions/events/sink";
import { HeldRequests } from "#functions/guest/hold";
import { serveGuests } from "#functions/node/guests";
import { listen } from "#functions/node/listen";
import { every } from "#functions/node/schedule";
import { Undo } from "#functions/node/undo";
import { createQueueHandler } from "#functions/queue/operations";
import { poll } from "#functions/queue/poll";
import { createPublisher } from "#functions/queue/publisher";
import { sendBySdk } from "#functions/queue/sdk";
import { openBell } from "#functions/server/bell";
import { openDatabases } from "#functions/server/database";
import type { ServerSettings } from "#functions/server/settings";
import { createStep } from "#functions/workflow/step";

export interface ServerOptions {
  settings: ServerSettings;
  /** Folder of the migrations that this version needs. */
  migrations: string;
}

export interface Server {
  url: string;
  guestPort: number;
  stop(): Promise<void>;
}

/** What happened is told so soon. */
const EVENTS_SECONDS = 5;
/** Milliseconds. A receive waits up to 20 s for a message; the SDK would wait for ever for an answer. */
const SEND = { connectionTimeout: 2_000, requestTimeout: 5_000 };
const RECEIVE = { connectionTimeout: 2_000, requestTimeout: 30_000 };

/**
 * The composition root of servers of one's own: the whole control plane in one process, any number of which work
 * on one PostgreSQL and one queue. Nothing is kept in it that another could not go on with. Throws
 * StartError or an Error that says what the owner has to set.
 */
export async function startServer({ settings, migrations }: ServerOptions): Promise<Server> {
  const undo = new Undo();
  try {
    const drivers = openCloud(settings.COFFER_CLOUD);
    const { app, system: db, systemUrl } = await openDatabases(settings, migrations);
    undo.push(() => Promise.all([app.close(), db.close()]));
    const asSystem = <T>(name: string, work: () => Promise<T>) => enter({ db, actor: system(name), clock: systemClock }, work);
    const installation = await asSystem("start", installationId);

    const held = new HeldRequests();
    const bell = await openBell(systemUrl, (what, instanceId) => (what === "job" ? void held.ring(instanceId) : runner.wake(instanceId)));
    undo.push(() => bell.close());
    const doorbell: Doorbell = {
      async ring(instanceId) {
        bell.ring("job", instanceId);
      },
    };

    const queues = (requestHandler: object) => new SQSClient({ region: settings.AWS_REGION, requestHandler, useQueueUrlAsEndpoint: false });
    const [sending, receiving] = [queues(SEND), queues(RECEIVE)];
    const publisher = createPublisher(sendBySdk(sending, settings.COFFER_QUEUE_URL));
    undo.push(async () => [sending, receiving].forEach((client) => client.destroy()));

    const authority = { certificate: settings.COFFER_CA_CERTIFICATE, key: settings.COFFER_CA_KEY };
    const seal = createSeal(sealKey(Buffer.from(settings.COFFER_ROOT_KEY, "hex")));
    const workshop = {
      ...drivers,
      installation,
      doorbell,
      guestUrl: settings.COFFER_GUEST_URL,
      ca: authority.certificate,
      rootKey: Buffer.from(settings.COFFER_ROOT_KEY, "hex"),
    };
    // A name that no other process has had: a lease of the one before is not ours to give back.
    const worker = `server:${hostname()}:${process.pid}:${randomBytes(6).toString("hex")}`;
    const runner = new Runner({
      step: createStep({ db, workshop, publisher, worker }),
      clock: systemClock,
      inContext: (work) => asSystem("runner", work),
    });

    const api = await listen({
      host: settings.COFFER_HOST,
      port: settings.COFFER_PORT,
      setting: "COFFER_PORT",
      fetch: createApp({
        db: app,
        verifier: openIdentity(settings),
        publisher,
        doorbell,
        seal,
        config: settings,
        ...(settings.COFFER_PUBLIC_ENDPOINT && { publicEndpoint: settings.COFFER_PUBLIC_ENDPOINT }),
      }).fetch,
    });
    undo.push(api.close);

    const guests = await serveGuests({
      db,
      authority,
      seal,
      held,
      wake: (instanceId) => bell.ring("report", instanceId),
      pollSeconds: 0,
      host: settings.COFFER_HOST,
      port: settings.COFFER_GUEST_PORT,
      names: [new URL(settings.COFFER_GUEST_URL).hostname],
      setting: "COFFER_GUEST_PORT",
    });
    undo.push(() => {
      held.release();
      return guests.close();
    });

    undo.push(async () => {
      const left = await runner.stop();
      await asSystem("stop", () => releaseLeases(worker));
      await republish(publisher, left);
    });
    undo.push(poll({ client: receiving, queueUrl: settings.COFFER_QUEUE_URL }, createQueueHandler(runner)));
    const sink = sinkOf(settings);
    const sweep = every(settings.COFFER_SWEEP_SECONDS, "sweep", createSweep({ db, publisher, executions: runner, workshop, config: settings, sink }));
    undo.push(sweep.stop);
    if (sink) undo.push(every(EVENTS_SECONDS, "events", () => asSystem("events", async () => void (await drain(sink)))).stop);
    await sweep.now();
    return { url: `http://${settings.COFFER_HOST}:${api.port}`, guestPort: guests.port, stop: () => undo.run() };
  } catch (error) {
    await undo.run();
    throw error;
  }
}
