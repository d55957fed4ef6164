import { and, eq, inArray, isNull } from "drizzle-orm";
import type { Actor } from "#core/actor";
import { system } from "#core/actor";
import { configOf } from "#core/config";
import { enter } from "#core/context";
import { read } from "#core/db/index";
import { installedImageId, installedImages } from "#core/datastore/image";
import { nameId } from "#core/datastore/seed";
import { createFakeCloud, createFakeObjects, type FakeCloud, type FakeObjects } from "#core/driver/index";
import { Crash } from "#core/failpoint";
import type { JobKind } from "#core/guest/protocol";
import { seedCatalogue, type Catalogue } from "#core/instance/catalogue";
import { create, type NewInstance } from "#core/instance/create";
import { instance } from "#core/instance/instance.sql";
import { timeline } from "#core/operation/index";
import { operation } from "#core/operation/operation.sql";
import { LEASE_SECONDS, type Workshop } from "#core/workflow/context";
import { step, type StepResult } from "#core/workflow/step";
import { movableClock, seededRandom } from "#test/support/clock";
import { testDatabase } from "#test/support/db";
import { act } from "#test/support/guests";

const image = installedImageId("postgresql", "17");
const smallCatalogue: Catalogue = {
  flavors: [
    { id: "1", name: "tiny", ramMb: 512, vcpus: 1 },
    { id: "2", name: "small", ramMb: 1024, vcpus: 1 },
  ],
  datastores: [{ name: "postgresql", manager: "postgresql", versions: [{ name: "17", version: "17.10", isDefault: true, image }, { name: "17-next", version: "17.11", image }] }],
};

/** What a world consists of, beside the settings. */
interface Parts {
  db: Awaited<ReturnType<typeof testDatabase>>;
  clock: ReturnType<typeof movableClock>;
  random: ReturnType<typeof seededRandom>;
  cloud: FakeCloud;
  objects: FakeObjects;
}

interface WorldOptions {
  /** Where there is no vitest to ask. */
  database?: () => ReturnType<typeof testDatabase>;
  seed?: number;
  catalogue?: Catalogue;
  /** As in the environment. */
  settings?: Record<string, string>;
  /** Where the clock stands at first. */
  start?: Date;
}

/**
 * The control plane with a fake cloud, simulated guests and a clock that only moves when work
 * waits. One worker at a time carries the runs, so a seed replays the same course.
 */
export async function createWorld({ seed = 1, catalogue = smallCatalogue, settings = {}, start, database = testDatabase }: WorldOptions = {}) {
  const db = await database();
  const clock = movableClock(start);
  const random = seededRandom(seed);
  const cloud = createFakeCloud({ random, clock });
  const objects = createFakeObjects(clock);
  const world = worldOf({ db, clock, random, cloud, objects }, settings);
  await world.asSystem(() => seedCatalogue(catalogue));
  return {
    ...world,
    /**
     * Notes how everything stands here. Each world that is opened afterwards begins there, and ends the one before; guests
     * that were made to fail, to wait or to be silent are well in it.
     */
    async mark() {
      const back = await db.mark();
      const next = Math.floor(random.number() * 2 ** 32);
      return {
        async open(): Promise<World> {
          const other = { clock: movableClock(clock.now()), random: seededRandom(next) };
          await back();
          return worldOf({ ...other, db, cloud: cloud.copy(other), objects: objects.copy(other.clock) }, settings);
        },
        close: () => db.close(),
      };
    },
  };
}

function worldOf({ db, clock, random, cloud, objects }: Parts, settings: Record<string, string>) {
  const config = configOf({ COFFER_MAX_INSTANCES: "1000", COFFER_MAX_VOLUMES_GB: "3000", ...settings });
  const cannot = new Set<JobKind>();
  const held = new Set<JobKind>();
  let silent = false;

  const workshop: Workshop = {
    installation: "test",
    compute: cloud.compute,
    volumes: cloud.volumes,
    network: cloud.network,
    doorbell: { ring: async () => {} },
    guestUrl: "https://127.0.0.1:1/guest/v1",
    ca: "",
    rootKey: Buffer.alloc(32, 7),
    objects,
  };
  const tenant: Actor = { kind: "user", userId: "ann", projectId: "p1", roles: ["member"], isAdmin: false };
  const as = <T>(actor: Actor, work: () => Promise<T>) => enter({ db: db.app, actor, clock, random }, work);
  const asSystem = <T>(work: () => Promise<T>) => enter({ db: db.system, actor: system("test"), clock, random }, work);

  /** That instance, and those that what runs at it has to do with. */
  const concerned = async (id: string) => {
    const rows = await asSystem(() => read((tx) => tx.select({ input: operation.input }).from(operation).where(and(eq(operation.instanceId, id), isNull(operation.outcome)))));
    return [id, ...rows.flatMap(({ input: { sourceId = id, memberIds = [] } }) => [sourceId, ...memberIds])];
  };
  /** Every guest whose server runs does its jobs and reports; with `only`, the one of that instance and those of its set that are at work with it. */
  const guestsAct = async (only?: string) => {
    if (silent) return;
    const servers = new Set(cloud.all().servers.filter(({ state }) => state === "ACTIVE").map(({ spec }) => spec.instanceId));
    const wanted = and(isNull(instance.deletedAt), only === undefined ? undefined : inArray(instance.id, await concerned(only)));
    const rows = await asSystem(() => read((tx) => tx.select().from(instance).where(wanted)));
    for (const { id, projectId, generation } of rows) {
      if (servers.has(id)) await asSystem(() => act({ instanceId: id, projectId, generation }, { fail: cannot, hold: held, objects }));
    }
  };
  const running = () => asSystem(() => read((tx) => tx.select().from(operation).where(isNull(operation.outcome)).orderBy(operation.id)));

  /** One label of one run by a worker of that name; a crash counts as `crashed`. */
  const stepOnce = async (input: { operationId: string; run: number }, worker = "w1"): Promise<StepResult | "crashed"> => {
    try {
      return await asSystem(() => step(input, workshop, worker));
    } catch (error) {
      if (error instanceof Crash) return "crashed";
      throw error;
    }
  };

  return {
    db,
    clock,
    random,
    cloud,
    objects,
    config,
    workshop,
    tenant,
    as,
    asSystem,
    cannot,
    held,
    guestsAct,
    stepOnce,
    running,
    /** Guests stop talking, or talk again. */
    silence(on: boolean) {
      silent = on;
    },
    create: (wish: Partial<NewInstance> = {}) =>
      as(tenant, () =>
        create(
          {
            name: "db",
            flavorId: "1",
            volume: { sizeGb: 1 },
            datastore: {},
            databases: [{ name: "app" }],
            users: [{ name: "alice", password: "secret", databases: ["app"] }],
            nics: [],
            access: {},
            modules: [],
            ...wish,
          },
          config,
        ),
      ).then((detail) => detail.instance.id),
    row: async (id: string) => {
      const [row] = await asSystem(() => read((tx) => tx.select().from(instance).where(eq(instance.id, id))));
      if (!row) throw new Error(`no instance ${id}`);
      return row;
    },
    backups: () => db.owner<{ id: string; state: string; [column: string]: unknown }[]>`select * from backup order by created_at, id`,
    operations: (id: string) => asSystem(() => timeline(id)),
    /** What was told of an instance, in order; `dbaas.` is left out. */
    events: async (id: string) => (await db.owner`select type from event where stream = ${id} order by seq`).map(({ type }) => (type as string).replace(/^dbaas\./, "")),
    usage: async () => Object.fromEntries((await db.owner`select resource, in_use from quota_usage`).map((row) => [row.resource as string, row.in_use as number])),
    /** Carries everything to its end, or `until` something holds. A crash costs the lease; more than `steps` labels is a hang. */
    async drive({ steps = 200, until }: { steps?: number; until?: () => Promise<boolean> } = {}) {
      let crashes = 0;
      // What is begun afterwards is later than what is carried here, however little there is to wait for.
      clock.advance(1);
      for (let count = 0; ; count++) {
        const [run] = await running();
        if (!run || (await until?.())) return { crashes, steps: count };
        if (count >= steps) throw new Error(`still running after ${steps} labels: ${run.kind} at ${run.label}`);
        const result = await stepOnce({ operationId: run.id, run: run.run });
        if (result === "crashed") {
          crashes++;
          clock.advance((LEASE_SECONDS + 1) * 1000);
        } else if (result.next === "wait" || result.next === "busy") {
          await guestsAct(run.instanceId);
          clock.advance(result.seconds * 1000);
        }
        if (result !== "crashed" && result.next === "go") await guestsAct(run.instanceId);
      }
    },
    /** Instances that exist, by what the API would find. */
    live: () => asSystem(() => read((tx) => tx.select().from(instance).where(and(isNull(instance.deletedAt))))),
    versionId: nameId("postgresql", "17"),
    images: installedImages([{ manager: "postgresql", version: "17.10" }]),
    imageId: image,
    close: () => db.close(),
  };
}

export type World = ReturnType<typeof worldOf>;
