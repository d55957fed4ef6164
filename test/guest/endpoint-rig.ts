import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { onTestFinished } from "vitest";
import { transaction } from "#core/db/index";
import { grantKey } from "#core/guest/grant";
import { enqueue } from "#core/guest/client";
import { headers, PROTOCOL, signedText, type Boot, type JobKind, type JobSpec } from "#core/guest/protocol";
import { setSink } from "#core/log";
import { createAuthority, issue } from "#core/pki";
import { createGuestApp } from "#functions/guest/app";
import { HeldRequests } from "#functions/guest/hold";
import { listen, type Fetch } from "#functions/node/listen";
import { createWorld, type World } from "#test/support/world";
import { testSeal } from "#test/support/seal";

export const ROTATE_AFTER_SECONDS = 1_000_000;

/** SPKI DER, base64. */
export const publicHalf = (key: KeyObject) => key.export({ type: "spki", format: "der" }).toString("base64");
export const newTlsKey = () => generateKeyPairSync("ec", { namedCurve: "P-256" });

interface Answer {
  status: number;
  body: Record<string, unknown>;
}

/**
 * The real guest endpoint over HTTP and HTTPS, on a real database, beside a control plane whose
 * guests say nothing of their own accord. Ends with the test.
 */
export async function endpoint() {
  const lines: string[] = [];
  const previous = setSink((line) => lines.push(JSON.stringify(line)));
  const world = await createWorld();
  world.silence(true);
  const authority = await createAuthority("test", new Date());
  const held = new HeldRequests();
  const { objects } = world;
  const granting = { installation: "test", url: "https://127.0.0.1:1/guest/v1/objects" };
  const deps = { objects, granting, grantKey: grantKey(world.workshop.rootKey), db: world.db.system, authority, seal: testSeal, clock: world.clock, held, wake: () => {}, pollSeconds: 0, rotateAfterSeconds: ROTATE_AFTER_SECONDS };
  const app = createGuestApp(deps);
  /** Tells, once the server has done a request, whether its answer gets lost. */
  const line: { loses: (path: string, body: string) => boolean } = { loses: () => false };
  const fetchLossy: Fetch = async (request, env) => {
    const copy = request.clone();
    const reply = await app.fetch(request);
    if (line.loses(new URL(request.url).pathname.replace("/guest/v1", ""), await copy.text())) (env as { incoming: IncomingMessage }).incoming.socket.destroy();
    return reply;
  };
  const { publicKey, privateKey } = newTlsKey();
  const cert = await issue(authority, publicKey.export({ type: "spki", format: "der" }), ["127.0.0.1"], new Date());
  const tls = { cert, key: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
  const plain = await listen({ port: 0, fetch: (request) => app.fetch(request), setting: "none" });
  const secure = await listen({ port: 0, fetch: fetchLossy, tls, setting: "none" });
  onTestFinished(async () => {
    held.release();
    await Promise.all([plain.close(), secure.close()]);
    await world.close();
    setSink(previous);
  });
  const url = `http://127.0.0.1:${plain.port}/guest/v1`;
  /** Any request at all, and what came back. */
  const send = async (path: string, body: string, extra: Record<string, string> = {}): Promise<Answer> => {
    const reply = await fetch(`${url}${path}`, { method: "POST", body, headers: extra });
    const text = await reply.text();
    return { status: reply.status, body: (text.startsWith("{") ? JSON.parse(text) : { text }) as Answer["body"] };
  };

  return {
    world,
    objects,
    granting,
    held,
    lines,
    line,
    url,
    send,
    /** Creates an instance up to where its server runs and its guest is awaited. */
    booted: async () => {
      const id = await world.create();
      await world.drive({ until: async () => (await world.running()).some((run) => run.instanceId === id && run.label === "prepare") });
      const server = world.cloud.all().servers.find(({ spec }) => spec.instanceId === id);
      if (!server) throw new Error("no server");
      const boot: Boot = { ...server.spec.boot, url: `https://127.0.0.1:${secure.port}/guest/v1`, ca: authority.certificate };
      return { id, boot, guest: new Guest(boot, send) };
    },
    /** Puts a job into a guest's queue, as the API does. */
    job: async <K extends JobKind>(id: string, kind: K, spec: JobSpec<K>) => {
      const { projectId, generation } = await world.row(id);
      const job = await world.asSystem(() => transaction(() => enqueue({ instanceId: id, projectId, generation, kind, spec })));
      void held.ring(id);
      return job;
    },
    jobs: (id: string) => world.db.owner<{ id: string; kind: string; state: string; error: string | null }[]>`select id, kind, state, error from guest_job where instance_id = ${id} order by seq`,
    /** All that is stored of one instance, for "nothing has changed". */
    stored: (id: string) => storedOf(world, id),
  };
}

const storedOf = async ({ db: { owner } }: World, id: string) =>
  JSON.stringify([
    await owner`select * from instance where id = ${id}`,
    await owner`select * from guest where instance_id = ${id}`,
    await owner`select * from guest_job where instance_id = ${id} order by seq`,
  ]);

/** One who knows the protocol and may bend every part of it. */
export class Guest {
  readonly boot: Boot;
  readonly key = generateKeyPairSync("ed25519");
  readonly tlsKey = newTlsKey();
  sequence = 1000;
  readonly #send: (path: string, body: string, extra?: Record<string, string>) => Promise<Answer>;

  constructor(boot: Boot, send: Guest["post"]) {
    this.boot = boot;
    this.#send = send;
  }

  post(path: string, body: string, extra?: Record<string, string>): Promise<Answer> {
    return this.#send(path, body, extra);
  }

  enrol(change: Record<string, unknown> = {}): Promise<Answer> {
    const { instanceId, generation, token } = this.boot;
    const keys = { publicKey: publicHalf(this.key.publicKey), tlsPublicKey: publicHalf(this.tlsKey.publicKey) };
    return this.post("/enrol", JSON.stringify({ protocol: PROTOCOL, instanceId, generation, token, ...keys, ...change }));
  }

  /** Headers for a request; `signs` names what is signed where that is not what is sent. */
  signature(path: string, body: string, { signs = {}, key = this.key.privateKey, ...sent }: Bent = {}): Record<string, string> {
    const { instanceId, generation } = this.boot;
    const said = { path, instance: instanceId, generation, sequence: ++this.sequence, ...sent };
    const meant = { ...said, ...signs };
    const text = signedText(`/guest/v1${meant.path}`, meant.instance, meant.generation, meant.sequence, body);
    return {
      [headers.instance]: said.instance,
      [headers.generation]: String(said.generation),
      [headers.sequence]: String(said.sequence),
      [headers.signature]: sign(null, Buffer.from(text), key).toString("base64"),
    };
  }

  syncBody(change: Record<string, unknown> = {}): string {
    return JSON.stringify({ protocol: PROTOCOL, report: { serviceStatus: "healthy", agentVersion: "test" }, results: [], holdSeconds: 0, ...change });
  }

  sync(change: Record<string, unknown> = {}, bent: Bent = {}): Promise<Answer> {
    const body = this.syncBody(change);
    return this.post("/sync", body, this.signature("/sync", body, bent));
  }

  /** Anything below the boot URL, signed. */
  signed(path: string, body: string, bent: Bent = {}): Promise<Answer> {
    return this.post(path, body, this.signature(path, body, bent));
  }

  rotate(key: KeyObject, bent: Bent = {}): Promise<Answer> {
    const body = JSON.stringify({ publicKey: publicHalf(key) });
    return this.post("/rotate", body, this.signature("/rotate", body, bent));
  }
}

interface Said {
  path?: string;
  instance?: string;
  generation?: number;
  sequence?: number;
}
interface Bent extends Said {
  signs?: Said;
  key?: KeyObject;
}
