import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { join } from "node:path";
import { Hono } from "hono";
import { onTestFinished } from "vitest";
import { systemClock } from "#core/clock";
import { createLocalObjects } from "#core/driver/index";
import type { ObjectStore } from "#core/driver/objectstore";
import { Agent } from "#core/guest/agent/agent";
import { bearer } from "#core/guest/grant";
import { keyBound, OBJECT_BYTES, type BackupResult, type GrantReply, type GrantRequest, type JobSpec, type Place, type StoredBackup } from "#core/guest/protocol";
import { seal } from "#core/guest/seal";
import { issue, type Authority } from "#core/pki";
import { createGuestObjects } from "#functions/guest/objects";
import { listen } from "#functions/node/listen";
import { Plane } from "#test/guest/agent-plane";
import { fastClock, scratch, until } from "#test/guest/agent-rig";
import { engineRig } from "#test/support/engine";

const installation = "test";

/** The object store of an installation, behind the endpoint for guests, over TLS; keys by prefix. */
export async function objectStore() {
  const key = randomBytes(32);
  const keys = new Map<string, string>();
  const store: ObjectStore = createLocalObjects({ root: await scratch(), clock: systemClock });
  const state = { away: false, requests: 0, grantMs: 3_600_000 };
  const app = new Hono();
  app.use(async (c, next) => {
    state.requests++;
    if (state.away) return c.body(null, 503);
    return next();
  });
  app.route("/guest/v1", createGuestObjects({ store, key, clock: systemClock }));
  app.onError((error, c) => c.text(String(error), 500));
  return {
    store,
    state,
    /** An address for those who believe this CA. */
    async serve(authority: Authority): Promise<string> {
      const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const cert = await issue(authority, pair.publicKey.export({ format: "der", type: "spki" }), ["127.0.0.1"], new Date());
      const listening = await listen({ port: 0, setting: "-", fetch: app.fetch, tls: { key: pair.privateKey.export({ format: "pem", type: "pkcs8" }).toString(), cert } });
      onTestFinished(() => listening.close());
      return `https://127.0.0.1:${listening.port}/guest/v1/objects`;
    },
    /** As the control plane would grant it. */
    granted({ backupId, place, methods, plane, url }: { backupId: string; place: Place; methods: ("GET" | "HEAD" | "PUT")[]; plane: Plane; url: string }): GrantReply["places"][number] {
      const dataKey = keys.get(place.prefix) ?? randomBytes(32).toString("hex");
      keys.set(place.prefix, dataKey);
      const { instanceId, generation } = plane.boot;
      const end = Date.now() + state.grantMs;
      const sealed = seal(plane.syncs.at(-1)?.report.sealingKey ?? "", keyBound(instanceId, generation, place), dataKey);
      const authorization = bearer(key, { place, methods, mostBytes: OBJECT_BYTES, until: end });
      return { backupId, place, url: `${url}/${place.projectId}/${place.container}/${place.prefix}`, headers: { authorization }, methods, expiresAt: new Date(end).toISOString(), key: sealed };
    },
  };
}
export type Store = Awaited<ReturnType<typeof objectStore>>;

const backupPlace = (backupId: string): Place => ({ projectId: "p", container: "backups", prefix: `backups/${backupId}` });
const walPlace = (instanceId: string): Place => ({ projectId: "p", container: "wal", prefix: instanceId });

/** An agent with a real server, a scripted control plane, and a real store. `walOf`: whose WAL a restore may read. */
export async function station(store: Store, { major = "17", walOf, archive = false, speed = 1 }: { major?: string; walOf?: string; archive?: boolean; speed?: number } = {}) {
  const plane = await Plane.start();
  // A held report would keep what it is asked about from the test for up to 25 s.
  plane.speed = 50;
  const engine = await engineRig(major);
  const url = await store.serve(plane.authority);
  plane.grant = (request: GrantRequest) => {
    const give = (backupId: string, place: Place, methods: ("GET" | "HEAD" | "PUT")[]) => store.granted({ backupId, place, methods, plane, url });
    if ("archive" in request) return archive ? { installation, places: [give("wal", walPlace(plane.boot.instanceId), ["GET", "HEAD", "PUT"])] } : (undefined as never);
    const { kind, spec } = plane.queue.find(({ id }) => id === request.jobId) ?? { kind: "", spec: {} };
    if (kind === "backup") {
      const { backupId, place, parent } = spec as JobSpec<"backup">;
      return { installation, places: [give(backupId, place, ["GET", "HEAD", "PUT"]), ...(parent ? [give(parent.backupId, backupPlace(parent.backupId), ["GET", "HEAD"])] : [])] };
    }
    const { chain = [] } = (spec as JobSpec<"prepare">).restore ?? {};
    return { installation, places: [...chain.map(({ backupId, place }) => give(backupId, place, ["GET", "HEAD"])), ...(walOf === undefined ? [] : [give("wal", walPlace(walOf), ["GET", "HEAD"])])] };
  };
  const clock = speed === 1 ? systemClock : fastClock(speed);
  const stateDirectory = join(await scratch(), "state");
  let agent = await Agent.open({ boot: plane.boot, stateDirectory, engine: engine.engine, version: "test", clock });
  let running = agent.run();
  onTestFinished(async () => {
    await agent.leave();
    await running;
    await plane.stop();
    await engine.close();
  });
  const ended = async (id: string, ms = 60_000) => {
    await until("the end of a job", () => plane.acknowledged.has(id), ms);
    return plane.result(id);
  };
  return {
    plane,
    engine,
    ended,
    job: (kind: string, spec: Record<string, unknown>) => ended(plane.add(kind, spec)),
    prepare: (spec: Partial<JobSpec<"prepare">> = {}) => ended(plane.add("prepare", { memoryMb: 512, volumeGb: 1, cidrs: null, databases: [], users: [], ...spec })),
    /** A backup that is to be made. */
    order(parent?: StoredBackup): JobSpec<"backup"> {
      const backupId = randomUUID();
      return { backupId, label: "nightly", place: backupPlace(backupId), ...(parent && { parent: { backupId: parent.backupId, checksum: parent.checksum } }) };
    },
    async backup(parent?: StoredBackup): Promise<{ result: BackupResult; stored: StoredBackup }> {
      const order = this.order(parent);
      const done = await this.job("backup", order);
      if (!done?.ok) throw new Error(done?.error);
      const result = done.result as unknown as BackupResult;
      return { result, stored: { backupId: order.backupId, checksum: result.checksum, place: order.place } };
    },
    archive: () => plane.syncs.at(-1)?.report.archive,
    /** Another agent in place of this one. */
    async replace() {
      await agent.leave();
      await running;
      agent = await Agent.open({ boot: plane.boot, stateDirectory, engine: engine.again(), version: "test", clock });
      running = agent.run();
    },
  };
}
