import { join } from "node:path";
import { system } from "#core/actor";
import { systemClock } from "#core/clock";
import type { Config } from "#core/config";
import { enter } from "#core/context";
import { installedImageId, installedImages } from "#core/datastore/image";
import { Database } from "#core/db/index";
import { migrate } from "#core/db/migrate";
import { createLocalCloud, createLocalObjects } from "#core/driver/index";
import { drain } from "#core/event/drain";
import { grantKey } from "#core/guest/grant";
import { createTokenVerifier } from "#core/identity/keystone";
import { localFlavors, seedCatalogue } from "#core/instance/catalogue";
import { log } from "#core/log";
import { barbican } from "#core/secret/barbican";
import { createSeal, sealKey } from "#core/seal";
import { Runner } from "#core/workflow/run";
import { takeOver } from "#core/workflow/step";
import { createApp } from "#functions/api/app";
import { createSweep } from "#functions/cron/sweep";
import { sinkOf } from "#functions/events/sink";
import { HeldRequests } from "#functions/guest/hold";
import { createIdentity, seedIdentity } from "#functions/identity/index";
import { createKeyManager } from "#functions/keymanager/index";
import { banner } from "#functions/local/banner";
import { writeClouds } from "#functions/local/clouds";
import { DEFAULT_VERSION, embeddedEngines } from "#functions/local/catalogue";
import { openHome } from "#functions/local/home";
import { findPlaces } from "#functions/local/places";
import { createPool } from "#functions/local/pool";
import { startQueue } from "#functions/local/queue";
import type { LocalSettings } from "#functions/local/settings";
import { startState } from "#functions/local/state";
import { createObjectApi } from "#functions/objectstore/app";
import { serveGuests } from "#functions/node/guests";
import { freePort, listen, type Fetch } from "#functions/node/listen";
import { every } from "#functions/node/schedule";
import { Undo } from "#functions/node/undo";
import { createQueueHandler } from "#functions/queue/operations";
import { poll } from "#functions/queue/poll";
import { createPublisher } from "#functions/queue/publisher";
import { sendBySdk } from "#functions/queue/sdk";
import { createStep } from "#functions/workflow/step";

export interface ServiceOptions {
  settings: LocalSettings;
  config: Config;
  /** The checkout. */
  source: string;
  /** Where the bundles are. */
  build: string;
}

export interface Service {
  /** What to tell the person at the terminal. */
  banner(seconds: number): string;
  stop(): Promise<void>;
}

const SWEEP_SECONDS = 60;
/** What happened is told so soon. */
const EVENTS_SECONDS = 2;
const OBJECTS_SWEEP_SECONDS = 3600;

/** The composition root of one machine: every seam gets its local implementation here and nowhere else. */
export async function startService({ settings, config, source, build }: ServiceOptions): Promise<Service> {
  const undo = new Undo();
  try {
    const home = await openHome(settings.home, freePort);
    undo.push(home.release);
    const { secrets, authority } = home;

    // First of all the port: a second service on it should touch nothing else.
    let answer: Fetch = () => new Response(undefined, { status: 503, headers: { "retry-after": "1" } });
    const api = await listen({ port: settings.port, fetch: (request, env) => answer(request, env), setting: "COFFER_PORT" });
    undo.push(api.close);
    const url = `http://127.0.0.1:${api.port}`;
    const keyManagerUrl = `${url}/key-manager`;

    const engines = embeddedEngines(source);
    const places = await findPlaces(settings.home, secrets.installation, engines);
    const state = await startState({
      native: places.engine("postgresql", DEFAULT_VERSION),
      directory: join(places.root, "state"),
      socketDirectory: places.stateSocket,
      password: secrets.database.owner,
      ...(places.stateUser && { as: places.stateUser }),
    });
    undo.push(state.stop);
    const installation = await migrate({
      url: state.url("coffer_owner", secrets.database.owner),
      socketDirectory: state.socketDirectory,
      folder: join(build, "migrations"),
      installation: secrets.installation,
      passwords: secrets.database,
    });
    const open = (role: "app" | "system") =>
      new Database(state.url(`coffer_${role}`, secrets.database[role]), {
        max: settings.databaseMax,
        prepare: true,
        socketDirectory: state.socketDirectory,
      });
    const app = open("app");
    const db = open("system");
    undo.push(() => Promise.all([app.close(), db.close()]));
    const asSystem = <T>(name: string, work: () => Promise<T>) => enter({ db, actor: system(name), clock: systemClock }, work);

    const versions = engines.map(({ name, version }) => ({ name, version, isDefault: name === DEFAULT_VERSION, image: installedImageId("postgresql", name) }));
    await asSystem("seed", () => seedCatalogue({ flavors: localFlavors, datastores: [{ name: "postgresql", manager: "postgresql", versions }] }));
    const identity = createIdentity({
      db,
      publicUrl: `${url}/identity`,
      keyManagerUrl,
      databaseUrl: (projectId) => `${url}/v1.0/${projectId}`,
      objectStoreUrl: (projectId) => `${url}/objects/v1/AUTH_${projectId}`,
      signingKey: Buffer.from(secrets.signingKey, "hex"),
      clock: systemClock,
      region: config.COFFER_REGION,
    });
    await asSystem("seed", () => seedIdentity(secrets.users));
    const cloudsFile = await writeClouds(settings.home, `${url}/identity/v3`, secrets.users);

    const queue = await startQueue();
    undo.push(queue.stop);
    const publisher = createPublisher(sendBySdk(queue.client, queue.queueUrl));

    const cloud = createLocalCloud({
      root: places.root,
      installation,
      agentBundle: join(build, "agent.mjs"),
      node: process.execPath,
      engines: places.engine,
      prepare: (image, onto, as) => pool.take(image, onto, as),
      privileged: places.privileged,
      images: settings.images,
      log,
      clock: systemClock,
    });
    const pool = createPool({ directory: join(places.root, "pool"), size: settings.pool, versions: engines, places, blanks: cloud.blanks });
    undo.push(pool.stop);

    const objects = createLocalObjects({ root: join(settings.home, "objects"), clock: systemClock });
    await objects.sweep({ drafts: true });
    undo.push(every(OBJECTS_SWEEP_SECONDS, "objects", () => objects.sweep()).stop);

    const held = new HeldRequests();
    const guestUrl = `https://127.0.0.1:${secrets.guestPort}/guest/v1`;
    const seal = createSeal(sealKey(Buffer.from(secrets.rootKey, "hex")));
    const workshop = {
      installation,
      compute: cloud.compute,
      volumes: cloud.volumes,
      network: cloud.network,
      doorbell: held,
      guestUrl,
      ca: authority.certificate,
      rootKey: Buffer.from(secrets.rootKey, "hex"),
      objects,
    };
    // The home is locked by this process: whoever carried these runs is dead.
    await asSystem("start", () => takeOver());
    const step = createStep({ db, workshop, publisher, worker: `local:${installation}:${process.pid}` });
    const runner = new Runner({ step, clock: systemClock, inContext: (work) => asSystem("runner", work) });

    const guests = await serveGuests({
      db,
      authority,
      seal,
      held,
      wake: (instanceId) => runner.wake(instanceId),
      pollSeconds: 0,
      objects,
      grantKey: grantKey(workshop.rootKey),
      granting: { installation, url: `${guestUrl}/objects` },
      port: secrets.guestPort,
      names: ["127.0.0.1"],
      setting: "guestPort in secrets.json",
    });
    undo.push(() => {
      held.release();
      return guests.close();
    });
    // Agents still report while they stop.
    undo.push(() => cloud.stop({ leaveRunning: false }));

    const stopPolling = poll(queue, createQueueHandler(runner));
    undo.push(() => runner.stop());
    undo.push(stopPolling);

    const verifier = createTokenVerifier({
      url: `${url}/identity`,
      username: "trove",
      password: secrets.users.trove,
      projectName: "service",
      userDomainName: "Default",
      projectDomainName: "Default",
      clock: systemClock,
    });
    const verify = (token: string) => verifier.verify(token);
    const keyManager = createKeyManager({ db: app, verify, publicUrl: keyManagerUrl, rootKey: Buffer.from(secrets.rootKey, "hex"), clock: systemClock });
    const troveApp = createApp({
      db: app,
      verifier: { verify, authUrl: `${url}/identity/v3` },
      secrets: barbican({ url: keyManagerUrl, clock: systemClock }),
      publisher,
      doorbell: held,
      seal,
      config,
      images: installedImages(engines.map(({ version }) => ({ manager: "postgresql", version }))),
      objects: { objects, root: `${url}/objects/v1` },
    });
    const objectApi = createObjectApi({ store: objects, verifier, publicUrl: `${url}/objects`, clock: systemClock });
    const rooms = new Map([["identity", identity], ["key-manager", keyManager], ["objects", objectApi]]);
    answer = (request, env) => (rooms.get(new URL(request.url).pathname.split("/")[1] ?? "") ?? troveApp).fetch(request, env);

    const sink = sinkOf({ COFFER_EVENTS: join(settings.home, "events.jsonl"), ...settings.events });
    await cloud.start();
    const sweep = every(SWEEP_SECONDS, "sweep", createSweep({ db, publisher, executions: runner, workshop, config, sink }));
    undo.push(sweep.stop);
    if (sink) undo.push(every(EVENTS_SECONDS, "events", () => asSystem("events", async () => void (await drain(sink)))).stop);
    await sweep.now();
    pool.fill();
    return {
      banner: (seconds) => banner({ seconds, url, cloudsFile, home: settings.home, engines, level: cloud.level() }),
      stop: () => undo.run(),
    };
  } catch (error) {
    await undo.run();
    throw error;
  }
}
