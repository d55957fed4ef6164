import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { system } from "#core/actor";
import { systemClock } from "#core/clock";
import { configOf } from "#core/config";
import { enter } from "#core/context";
import { installedImageId, installedImages } from "#core/datastore/image";
import type { Publisher } from "#core/db/outbox";
import { createFakeObjects } from "#core/driver/index";
import type { JobKind } from "#core/guest/protocol";
import { localFlavors, seedCatalogue } from "#core/instance/catalogue";
import { setSink } from "#core/log";
import { createApp, type ApiDeps } from "#functions/api/app";
import type { UserActor } from "#functions/api/call";
import { conform } from "#test/api/conforms";
import { testDatabase } from "#test/support/db";
import { act } from "#test/support/guests";
import { testSeal } from "#test/support/seal";

const user = (userId: string, projectId: string, role: string): UserActor => ({
  kind: "user",
  userId,
  projectId,
  roles: [role],
  isAdmin: role === "admin",
});

/** Who may ask: the name is also the token. */
export const people = {
  member: user("ann", "p1", "member"),
  reader: user("rita", "p1", "reader"),
  other: user("otto", "p2", "member"),
  admin: user("root", "ops", "admin"),
};
export type Person = keyof typeof people;

export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  /** Parsed; an empty object for an empty body. */
  json: Wire;
}

/** The members of replies that tests walk into. */
export interface Wire extends Record<string, unknown> {
  id: string;
  created: string;
  links: { rel: string; href: string }[];
  volume: object;
  fault: unknown;
  instance: Wire;
  instances: Wire[];
}

/** A text that matches, as an expected value. */
export const like = (pattern: RegExp) => expect.stringMatching(pattern) as string;

export interface Extra {
  body?: unknown;
  headers?: Record<string, string>;
  /** Sent as they are, instead of `body`. */
  raw?: string | Uint8Array;
}

/** The API over a real database, with a publisher and a doorbell that only take notes, and guests that act when told. */
export async function createApi({ settings = {}, deps = {}, store = true }: { settings?: Record<string, string>; deps?: Partial<ApiDeps>; store?: boolean } = {}) {
  const db = await testDatabase();
  const lines: Record<string, unknown>[] = [];
  const previous = setSink((line) => lines.push(line));
  const published: string[] = [];
  const publisher: Publisher = {
    publish: async (messages) => {
      published.push(...messages.map(({ body }) => body));
      return messages.map(({ id }) => id);
    },
  };
  const objects = createFakeObjects(systemClock);
  const config = configOf({
    COFFER_MAX_INSTANCES: "1000",
    COFFER_MAX_VOLUMES_GB: "1000",
    COFFER_HTTP_RATE_PER_MINUTE: "100000",
    COFFER_GUEST_WAIT_MS: "5000",
    // Tests change the catalogue behind the API's back.
    COFFER_CATALOGUE_MS: "0",
    ...settings,
  });
  const rings: string[] = [];
  const cannot = new Set<JobKind>();
  let awake = true;
  let acting = Promise.resolve();
  const asSystem = <T>(work: () => Promise<T>) => enter({ db: db.system, actor: system("test") }, work);

  /** The guest of an instance does what waits for it and reports. */
  const guestActs = (id: string) =>
    asSystem(async () => {
      const [row] = await db.owner<{ project_id: string; generation: number }[]>`select project_id, generation from instance where id = ${id}`;
      if (!row) throw new Error(`no instance ${id}`);
      return act({ instanceId: id, projectId: row.project_id, generation: row.generation }, { fail: cannot, objects });
    });

  const app = createApp({
    db: db.app,
    verifier: { verify: (token) => Promise.resolve(Object.hasOwn(people, token) ? people[token as Person] : undefined), authUrl: "http://identity/v3" },
    publisher,
    doorbell: {
      async ring(id) {
        rings.push(id);
        if (awake) acting = acting.then(async () => void (await guestActs(id)));
      },
    },
    seal: testSeal,
    config,
    images: installedImages(catalogue.datastores.flatMap(({ manager, versions }) => versions.map(({ version }) => ({ manager, version })))),
    clock: systemClock,
    ...(store && { objects: { objects, root: "http://objects/v1" } }),
    ...deps,
  });

  /** One request; `path` is below the person's own project unless it is absolute. Throws when the reply is not as `/openapi.json` says. */
  async function ask(person: Person | undefined, line: string, { body, headers = {}, raw }: Extra = {}): Promise<Reply> {
    const [method = "GET", path = ""] = line.split(" ");
    const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const url = path.startsWith("/v1.0") || !person ? path : `/v1.0/${people[person].projectId}${path}`;
    const response = await app.request(url, {
      method,
      headers: {
        ...(person && { "x-auth-token": person }),
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      ...(sent !== undefined && { body: sent as string }),
    });
    const text = await response.text();
    conform(method, url.split("?", 1)[0] ?? "", { status: response.status, headers: response.headers, text });
    const json = text && response.headers.get("content-type") === "application/json" ? text : "{}";
    return { status: response.status, headers: response.headers, text, json: JSON.parse(json) as Wire };
  }

  /** What a good create carries. */
  const wish = (change: Record<string, unknown> = {}) => ({
    body: { instance: { name: "orders", flavorRef: "1", volume: { size: 1 }, ...change } },
  });

  async function create(change: Record<string, unknown> = {}, person: Person = "member"): Promise<string> {
    const reply = await ask(person, "POST /instances", wish(change));
    if (reply.status !== 200) throw new Error(`create: ${reply.status} ${reply.text}`);
    return reply.json.instance.id;
  }

  /** Puts an instance into a state, as workflows and reports would have done. */
  async function put(id: string, state: Record<string, string | number | boolean | null | Date>) {
    await db.owner`update instance set ${db.owner(state)} where id = ${id}`;
  }

  /** An instance that is ACTIVE and HEALTHY, its create done. */
  async function active(change: Record<string, unknown> = {}, person: Person = "member"): Promise<string> {
    const id = await create(change, person);
    await db.owner`update operation set outcome = 'done', finished_at = now() where instance_id = ${id}`;
    await db.owner`insert into guest (instance_id, project_id, generation) select id, project_id, generation from instance where id = ${id}`;
    await put(id, { task: "NONE", server_state: "ACTIVE", address: "127.1.2.3" });
    await guestActs(id);
    return id;
  }

  return {
    db,
    objects,
    config,
    app,
    lines,
    published,
    rings,
    cannot,
    ask,
    wish,
    create,
    active,
    put,
    asSystem,
    guestActs,
    /** Guests do nothing more by themselves, or do again. */
    sleep: (on: boolean) => {
      awake = !on;
    },
    row: async (id: string) => {
      const [found] = await db.owner`select * from instance where id = ${id}`;
      return found ?? {};
    },
    jobs: (id: string) => db.owner<{ kind: string; state: string; spec: Record<string, unknown> | null }[]>`
      select kind, state, spec from guest_job where instance_id = ${id} order by seq`,
    usage: async (project = "p1") =>
      Object.fromEntries((await db.owner`select resource, in_use from quota_usage where project_id = ${project}`).map((one) => [one.resource as string, one.in_use as number])),
    /** Resolves when guests have done what they were rung for. */
    settled: () => acting,
    async close() {
      await acting;
      setSink(previous);
      await db.close();
    },
  };
}

export type Api = Awaited<ReturnType<typeof createApi>>;

export const catalogue = {
  flavors: localFlavors,
  datastores: [
    {
      name: "postgresql",
      manager: "postgresql",
      versions: [
        { name: "16", version: "16.14", image: installedImageId("postgresql", "16") },
        { name: "17", version: "17.10", isDefault: true, image: installedImageId("postgresql", "17") },
        { name: "18", version: "18.4", image: installedImageId("postgresql", "18") },
      ],
    },
  ],
};

/** The API with the catalogue of the local home. */
export async function startApi(options: Parameters<typeof createApi>[0] = {}): Promise<Api> {
  const api = await createApi(options);
  await api.asSystem(() => seedCatalogue(catalogue));
  return api;
}

export const nobody = randomUUID();
