import { createPublicKey, generateKeyPairSync, randomBytes, randomUUID, verify } from "node:crypto";
import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { CertificateRequest, EnrolRequest, GrantRequest, headers, RotateRequest, signedText, SyncRequest, type Boot, type GrantReply, type JobKind, type JobResult } from "#core/guest/protocol";
import { createAuthority, issue, type Authority } from "#core/pki";

type Path = "enrol" | "rotate" | "certificate" | "sync";

/** The control plane's side of the protocol, by script, over real HTTPS. */
export class Plane {
  readonly boot: Boot;
  readonly enrolments: EnrolRequest[] = [];
  readonly rotations: string[] = [];
  readonly syncs: (SyncRequest & { at: number })[] = [];
  readonly sequences: number[] = [];
  /** Every result that arrived, repeats included. */
  readonly results: JobResult[] = [];
  /** What was uploaded, by path below `logs/`. */
  readonly uploads = new Map<string, string>();
  readonly acknowledged = new Set<string>();
  /** What is granted; undefined = the plane knows no grants. */
  grant: ((request: GrantRequest) => GrantReply) | undefined;
  /** How many of the next answers are lost: the request is processed, then the connection is cut. */
  readonly lose: Record<Path, number> = { enrol: 0, rotate: 0, certificate: 0, sync: 0 };
  /** Public keys that another certificate was asked for. */
  readonly renewals: string[] = [];
  /** By which certificates are issued, and for whom. */
  now = () => new Date();
  address = "127.0.0.1";
  /** How many of the next replies acknowledge nothing. */
  silent = 0;
  revoked = false;
  unreachable = false;
  rotateAfterSeconds = 1_000_000;
  /** How much faster than real the seconds of a held request pass. */
  speed = 1;
  publicKey = "";
  nextPublicKey: string | undefined;
  queue: { id: string; kind: string; spec: Record<string, unknown> }[] = [];
  refusals = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly authority: Authority;
  #wake: (() => void)[] = [];

  private constructor(server: Server, authority: Authority) {
    this.#server = server;
    this.authority = authority;
    const { port } = server.address() as AddressInfo;
    this.boot = {
      protocol: 1,
      instanceId: randomUUID(),
      generation: 1,
      url: `https://127.0.0.1:${port}/guest/v1`,
      ca: authority.certificate,
      token: randomBytes(32).toString("hex"),
      datastore: { manager: "memory", version: "1" },
    };
    server.on("secureConnection", (socket: Socket) => this.#sockets.add(socket.on("close", () => this.#sockets.delete(socket))));
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response).catch(() => request.socket.destroy());
    });
  }

  static async start(): Promise<Plane> {
    const authority = await createAuthority("test", new Date());
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const certificate = await issue(authority, publicKey.export({ type: "spki", format: "der" }), ["127.0.0.1"], new Date());
    const server = createServer({ cert: certificate, key: privateKey.export({ type: "pkcs8", format: "pem" }) });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new Plane(server, authority);
  }

  async stop() {
    this.#ring();
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Breaks every connection. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  add<K extends JobKind>(kind: K | (string & {}), spec: Record<string, unknown>): string {
    const id = randomUUID();
    this.queue.push({ id, kind, spec });
    this.#ring();
    return id;
  }

  prepare() {
    return this.add("prepare", { memoryMb: 512, volumeGb: 1, cidrs: null, databases: [{ name: "app" }], users: [{ name: "ann", verifier: "SCRAM-SHA-256$first", databases: ["app"] }] });
  }

  /** The first result of a job. */
  result(id: string) {
    return this.results.find((one) => one.id === id);
  }

  #ring() {
    for (const resolve of this.#wake.splice(0)) resolve();
  }

  async #answer(request: IncomingMessage, response: ServerResponse) {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    if (this.unreachable) return void request.socket.destroy();
    const bytes = Buffer.concat(parts);
    const body = bytes.toString();
    const path = (request.url ?? "").replace("/guest/v1/", "") as Path;
    if (this.revoked || (path !== "enrol" && !this.#authentic(request, bytes))) {
      this.refusals++;
      return void response.writeHead(401).end("{}");
    }
    if (path.startsWith("logs/")) {
      this.uploads.set(path.slice("logs/".length), body);
      return void response.writeHead(200, { "content-type": "application/json" }).end("{}");
    }
    if ((path as string) === "grant") {
      const granted = this.grant?.(GrantRequest.parse(JSON.parse(body)));
      return void response.writeHead(granted ? 200 : 404, { "content-type": "application/json" }).end(JSON.stringify(granted ?? {}));
    }
    const reply = await this[path](JSON.parse(body), request.socket);
    if (reply === undefined) return void request.socket.destroy();
    if (this.lose[path] > 0) {
      this.lose[path]--;
      return void request.socket.destroy();
    }
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(reply));
  }

  #authentic(request: IncomingMessage, body: Uint8Array): boolean {
    const header = (name: string) => String(request.headers[name]);
    const sequence = Number(header(headers.sequence));
    const text = signedText(request.url ?? "", header(headers.instance), Number(header(headers.generation)), sequence, body);
    const by = (key: string | undefined) =>
      key !== undefined &&
      verify(null, Buffer.from(text), createPublicKey({ key: Buffer.from(key, "base64"), format: "der", type: "spki" }), Buffer.from(header(headers.signature), "base64"));
    if (sequence <= Math.max(0, ...this.sequences)) return false;
    if (by(this.nextPublicKey)) {
      this.publicKey = this.nextPublicKey ?? "";
      this.nextPublicKey = undefined;
    } else if (!by(this.publicKey)) return false;
    this.sequences.push(sequence);
    return true;
  }

  async enrol(body: unknown) {
    const enrolment = EnrolRequest.parse(body);
    this.enrolments.push(enrolment);
    this.publicKey = enrolment.publicKey;
    return this.#issue(enrolment.tlsPublicKey);
  }

  async certificate(body: unknown) {
    const { tlsPublicKey } = CertificateRequest.parse(body);
    this.renewals.push(tlsPublicKey);
    return this.#issue(tlsPublicKey);
  }

  async #issue(key: string) {
    const certificate = await issue(this.authority, Buffer.from(key, "base64"), [this.address], this.now());
    return { certificate, ca: this.authority.certificate };
  }

  async rotate(body: unknown) {
    const { publicKey } = RotateRequest.parse(body);
    this.rotations.push(publicKey);
    this.nextPublicKey = publicKey;
    return {};
  }

  async sync(body: unknown, socket: Socket) {
    const sync = SyncRequest.parse(body);
    this.syncs.push({ ...sync, at: Date.now() });
    this.results.push(...sync.results);
    const done = new Set(sync.results.map(({ id }) => id));
    this.queue = this.queue.filter(({ id }) => !done.has(id));
    if (sync.holdSeconds > 0 && this.queue.length === 0) {
      await new Promise<void>((resolve) => {
        const finish = () => {
          clearTimeout(timer);
          socket.off("close", finish);
          resolve();
        };
        const timer = setTimeout(finish, (sync.holdSeconds * 1000) / this.speed);
        socket.on("close", finish);
        this.#wake.push(finish);
      });
      if (socket.destroyed) return undefined;
    }
    const quiet = this.silent > 0 && sync.results.length > 0;
    if (quiet) this.silent--;
    else for (const id of done) this.acknowledged.add(id);
    return { jobs: this.queue, acknowledged: quiet ? [] : [...done], pollSeconds: 0, rotateAfterSeconds: this.rotateAfterSeconds };
  }
}
