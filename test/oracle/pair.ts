import { systemClock, type Clock } from "#core/clock";
import { nameId } from "#core/datastore/seed";
import { createTokenVerifier } from "#core/identity/keystone";
import { setSink } from "#core/log";
import { createApp } from "#functions/api/app";
import { flavors, imageId, inactive, datastores, limits } from "#test/oracle/catalogue";
import { send, type Asked, type Reply } from "#test/oracle/http";
import { movableClock } from "#test/support/clock";
import { until } from "#test/support/cluster";
import { listen, passwords, startIdentity, stop } from "#test/support/identity";
import { startOracle } from "#test/support/oracle/index";
import { createWorld } from "#test/support/world";
import { testSeal } from "#test/support/seal";

/** `nobody` sends no token, `expired` one that was good an hour ago. */
export type Who = "member" | "reader" | "other" | "admin" | "nobody" | "expired";

export type Side = "ours" | "theirs";

const SETTLE_MS = 20_000;
const HOUR_MS = 3600_000;
const readerPassword = "reader-secret";

/**
 * Trove's real API and ours, in front of one identity service, with the same datastores, flavors and limits.
 * Both have faked clouds and guests, and take up accepted work only when told.
 */
export async function startPair() {
  // The expired token is issued first, in what is then the past.
  const identityClock = movableClock(new Date(Date.now() - 2 * HOUR_MS));
  const identity = await startIdentity({ clock: identityClock });
  await identity.addUser({ name: "rita", password: readerPassword, project: "demo", role: "reader" });
  const expired = await identity.tokenOf("demo");
  identityClock.advance(2 * HOUR_MS);
  const tokens: Record<Who, string | undefined> = {
    member: await identity.tokenOf("demo"),
    reader: await identity.tokenOf("rita", readerPassword, "demo"),
    other: await identity.tokenOf("alt"),
    admin: await identity.tokenOf("admin"),
    nobody: undefined,
    expired,
  };
  const { demo, alt, admin } = identity.seeded;
  const projects: Record<Who, string> = {
    member: demo.projectId,
    reader: demo.projectId,
    nobody: demo.projectId,
    expired: demo.projectId,
    other: alt.projectId,
    admin: admin.projectId,
  };

  const oracle = await startOracle({ identity: identity.url, username: "trove", password: passwords.trove, datastores, inactive, limits });
  const ours = await startOurs(identity.url, identityClock);
  const urls: Record<Side, string> = { ours: ours.url, theirs: oracle.url };

  const ask = (side: Side, who: Who, asked: Asked): Promise<Reply> => {
    const path = asked.path.startsWith("/v1.0") || asked.path === "//" ? asked.path.replace(/^\/\//, "/") : `/v1.0/${projects[who]}${asked.path}`;
    const token = tokens[who];
    return send(urls[side], { ...asked, path, headers: { ...(token && { "x-auth-token": token }), ...asked.headers } });
  };
  /** Asked again where the reference's database, not its API, was at fault. */
  const askTheirs = async (who: Who, asked: Asked): Promise<Reply> => {
    const before = oracle.locks();
    const reply = await ask("theirs", who, asked);
    return reply.status === 500 && oracle.locks() > before ? ask("theirs", who, asked) : reply;
  };

  /** What the reference still works at: a task, or an instance that its cloud has not finished. */
  const theirsBusy = async () => {
    const { json } = await ask("theirs", "admin", { method: "GET", path: "/mgmt/instances?deleted=false&include_clustered=true&limit=500" });
    const { instances } = json as { instances: { name: string; status: string; task_description: string; service_status: string }[] };
    const done = ["ACTIVE", "ERROR", "RESTART_REQUIRED"];
    return instances.filter((one) => !done.includes(one.status) || (one.status === "ACTIVE" && !["HEALTHY", "ACTIVE", "ERROR"].includes(one.service_status)));
  };
  /** Found stuck once; waiting for it again would cost as much time again. */
  const stuck = new Set<string>();

  return {
    ask: (side: Side, who: Who, asked: Asked) => (side === "theirs" ? askTheirs(who, asked) : ask(side, who, asked)),
    projects,
    urls,
    /** Keeps accepted work from beginning, on both sides. */
    hold: () => oracle.hold(true),
    /** Lets accepted work begin, and waits for its end on both sides. */
    async settle() {
      await oracle.hold(false);
      await ours.drive();
      let busy: Awaited<ReturnType<typeof theirsBusy>> = [];
      await until(async () => {
        busy = (await theirsBusy()).filter(({ name }) => !stuck.has(name));
        return busy.length === 0;
      }, "the reference to finish its work", SETTLE_MS).catch((cause: unknown) => {
        for (const { name } of busy) stuck.add(name);
        throw new Error(`the reference did not finish ${JSON.stringify(busy.map((one) => [one.name, one.status, one.service_status, one.task_description]))}`, { cause });
      });
    },
    /** A second passes: what is created now is later than what was created before. */
    tick: () => ours.tick(),
    async close() {
      await ours.close();
      await oracle.stop();
      await identity.close();
    },
  };
}

/** Our API on a port, over a control plane whose work is done when told. */
async function startOurs(identityUrl: string, identityClock: Clock) {
  const previous = setSink(() => {});
  const world = await createWorld({
    catalogue: { flavors, datastores },
    start: new Date(),
    settings: {
      COFFER_HTTP_RATE_PER_MINUTE: String(limits.http_get_rate),
      COFFER_MAX_INSTANCES: String(limits.max_instances_per_tenant),
      COFFER_MAX_VOLUMES_GB: String(limits.max_volumes_per_tenant),
      COFFER_MAX_BACKUPS: String(limits.max_backups_per_tenant),
      COFFER_MAX_VOLUME_SIZE_GB: String(limits.max_accepted_volume_size),
      COFFER_HEARTBEAT_STALE_SECONDS: String(limits.agent_heartbeat_expiry),
    },
  });
  for (const [store, version] of inactive) {
    await world.db.owner`update datastore_version set active = false where id = ${nameId(store, version)}`;
  }
  await world.db.owner`update datastore_version set image = ${imageId}`;
  let acting = Promise.resolve();
  const verifier = createTokenVerifier({ url: identityUrl, clock: identityClock, username: "trove", password: passwords.trove, projectName: "service" });
  const app = createApp({
    db: world.db.app,
    verifier: { verify: (token) => verifier.verify(token), authUrl: `${identityUrl}/v3` },
    publisher: { publish: (messages) => Promise.resolve(messages.map(({ id }) => id)) },
    doorbell: {
      async ring() {
        acting = acting.then(() => world.guestsAct());
      },
    },
    seal: testSeal,
    objects: { objects: world.objects, root: "http://objects/v1" },
    config: world.config,
    // As the reference's fake Glance.
    images: { find: (wanted) => Promise.resolve("id" in wanted && wanted.id === imageId ? { id: imageId } : undefined) },
    // A reply that waits for a guest waits in real time.
    clock: { now: () => world.clock.now(), sleep: (ms, signal) => systemClock.sleep(ms, signal) },
  });
  const { server, port } = await listen((request) => app.fetch(request));
  return {
    url: `http://127.0.0.1:${port}`,
    tick: () => world.clock.advance(1000),
    async drive() {
      await acting;
      await world.drive();
      await world.guestsAct();
      // As the reference's guests see their volumes.
      await world.db.owner`update instance set volume_used_bytes = ${Math.round(0.16 * 2 ** 30)}, volume_total_bytes = ${4 * 2 ** 30} where volume_used_bytes is null`;
    },
    async close() {
      await acting;
      await stop(server);
      setSink(previous);
      await world.close();
    },
  };
}

export type Pair = Awaited<ReturnType<typeof startPair>>;
