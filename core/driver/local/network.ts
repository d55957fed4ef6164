import { createHash, randomBytes, randomInt } from "node:crypto";
import { link, mkdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import * as z from "zod";
import type { Clock } from "#core/clock";
import type { Ingress, Network, Port, PortSpec } from "#core/driver/network";
import { check } from "#core/driver/call";
import type { Call } from "#core/driver/resource";
import { AppError, codeOf, notFound } from "#core/error";
import { failpoint } from "#core/failpoint";
import { namesIn, readRecord, syncDirectory, Turns, unless, writeAtomic } from "#core/driver/local/files";
import { checkName, Entry } from "#core/driver/local/shelf";

const PortRecord = Entry.extend({
  address: z.string(),
  port: z.number(),
  ingress: z.array(z.string()).nullable(),
  isPublic: z.boolean(),
});
type PortRecord = z.infer<typeof PortRecord>;

/** Bound of the search for an address of its own: each one found taken costs well under a millisecond. */
const TRIES = 512;
/** After so many taken addresses in a row, something listens on the wildcard address. */
const WILDCARD_TRIES = 16;
/** Own ports lie below the range that Linux gives to outgoing connections. */
const OWN_PORTS = { first: 20_000, end: 32_000 };

/** `127.<n>` of an installation, never `127.0`, which the system itself uses. */
export const addressRange = (installation: string) =>
  `127.${1 + (createHash("sha256").update(`net:${installation}`).digest().readUInt32BE() % 254)}`;

/**
 * One loopback address per port, on the engine's standard TCP port. The record
 * `<root>/ports/<address>:<port>.json` is the claim itself: link() makes it, complete, or
 * fails because another has it. Access rules are recorded here and enforced by the engine.
 */
export class LocalNetwork implements Network {
  readonly #directory: string;
  readonly #range: string;
  readonly #clock: Clock;
  readonly #turns = new Turns();

  /** `range` is the first two numbers of the addresses. */
  constructor(options: { root: string; range: string; clock: Clock }) {
    this.#directory = join(options.root, "ports");
    this.#range = options.range;
    this.#clock = options.clock;
  }

  async open(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    for (const name of await namesIn(this.#directory)) {
      if (name.endsWith(".new")) await rm(join(this.#directory, name), { force: true });
    }
  }

  /** Where the port's engine listens; undefined when there is no such port. */
  async place(id: string): Promise<{ address: string; port: number } | undefined> {
    return this.#byId(id);
  }

  async create(spec: PortSpec, call: Call): Promise<Port> {
    checkName(spec.name);
    // One at a time per name, so that a create that runs twice claims once.
    return this.#turns.call(spec.name, "port.create", call, async () => {
      const [present] = await this.#named(spec.name);
      if (present) return shown(present);
      await failpoint("local.port.create");
      const made = await this.#search(spec, call);
      await failpoint("local.port.created");
      return shown(made);
    });
  }

  async get(id: string, call: Call): Promise<Port | undefined> {
    check(call, "port.get");
    const found = await this.#byId(id);
    return found && shown(found);
  }

  async find(name: string, call: Call): Promise<Port[]> {
    check(call, "port.find");
    return (await this.#named(name)).map(shown);
  }

  async list(call: Call): Promise<Port[]> {
    check(call, "port.list");
    return (await this.#all()).map(shown);
  }

  async remove(id: string, call: Call): Promise<void> {
    check(call, "port.remove");
    const found = await this.#byId(id);
    if (!found) return;
    await this.#turns.call(found.name, "port.remove", call, async () => {
      if (!(await this.#byId(id))) return;
      await failpoint("local.port.remove");
      await rm(this.#file(found), { force: true });
      await syncDirectory(this.#directory);
    });
  }

  async setIngress(id: string, ingress: Ingress, isPublic: boolean, call: Call): Promise<void> {
    check(call, "port.setIngress");
    const first = await this.#byId(id);
    if (!first) throw notFound(`There is no port ${id}.`);
    await this.#turns.call(first.name, "port.setIngress", call, async () => {
      const found = await this.#byId(id);
      if (!found) throw notFound(`There is no port ${id}.`);
      await writeAtomic(this.#file(found), JSON.stringify({ ...found, ingress, isPublic }));
    });
  }

  /** Tries addresses of the range in random order, so that two installations on one range rarely meet. */
  async #search(spec: PortSpec, call: Call): Promise<PortRecord> {
    for (let turn = 0; turn < TRIES; turn++) {
      check(call, "port.create");
      const address = `${this.#range}.${randomInt(1, 255)}.${randomInt(1, 255)}`;
      const outcome = await probe(address, spec.servicePort);
      if (outcome === "unavailable") return this.#searchPort("127.0.0.1", spec, call);
      if (outcome === "free") {
        const made = await this.#claim(spec, address, spec.servicePort);
        if (made) return made;
      } else if (turn + 1 >= WILDCARD_TRIES && (await probe("0.0.0.0", spec.servicePort)) === "taken") {
        // Whoever listens on 0.0.0.0 has the standard port of every address.
        const own = await this.#searchPort(address, spec, call);
        if (own) return own;
      }
    }
    throw exhausted(spec);
  }

  async #searchPort(address: string, spec: PortSpec, call: Call): Promise<PortRecord> {
    for (let turn = 0; turn < TRIES; turn++) {
      check(call, "port.create");
      const port = randomInt(OWN_PORTS.first, OWN_PORTS.end);
      if ((await probe(address, port)) !== "free") continue;
      const made = await this.#claim(spec, address, port);
      if (made) return made;
    }
    throw exhausted(spec);
  }

  /** Undefined when another port of this installation has the address. */
  async #claim(spec: PortSpec, address: string, port: number): Promise<PortRecord | undefined> {
    const nonce = randomBytes(4).toString("hex");
    const record: PortRecord = {
      id: `${address}:${port}:${nonce}`,
      name: spec.name,
      createdAt: this.#clock.now(),
      address,
      port,
      ingress: spec.ingress,
      isPublic: spec.isPublic,
    };
    const draft = join(this.#directory, `${nonce}.new`);
    await writeFile(draft, JSON.stringify(record), { mode: 0o600, flush: true });
    try {
      await failpoint("local.port.claim");
      await link(draft, this.#file(record));
    } catch (error) {
      unless(error, "EEXIST");
      return undefined;
    } finally {
      await rm(draft, { force: true });
    }
    await syncDirectory(this.#directory);
    return record;
  }

  #file = ({ address, port }: { address: string; port: number }) => join(this.#directory, `${address}:${port}.json`);

  async #byId(id: string): Promise<PortRecord | undefined> {
    const [, address, port] = /^([\d.]+):(\d+):[0-9a-f]+$/.exec(id) ?? [];
    if (!address || !port) return undefined;
    const found = await readRecord(this.#file({ address, port: Number(port) }), PortRecord);
    return found?.id === id ? found : undefined;
  }

  async #all(): Promise<PortRecord[]> {
    const names = (await namesIn(this.#directory)).filter((name) => name.endsWith(".json"));
    const found = await Promise.all(names.map((name) => readRecord(join(this.#directory, name), PortRecord)));
    return found.filter((one) => one !== undefined).sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime());
  }

  async #named(name: string): Promise<PortRecord[]> {
    return (await this.#all()).filter((one) => one.name === name);
  }
}

const shown = ({ id, name, createdAt, address, port }: PortRecord): Port => ({ id, name, createdAt, address, port });

const exhausted = (spec: PortSpec) =>
  new AppError("overLimit", `No free loopback address was found for port ${spec.servicePort}.`, { reason: "network.addresses" });

/** Proof by binding: nobody on this machine, of whatever installation, listens there now. */
function probe(address: string, port: number): Promise<"free" | "taken" | "unavailable"> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error) => {
      const code = codeOf(error);
      if (code === "EADDRINUSE") resolve("taken");
      else if (code === "EADDRNOTAVAIL") resolve("unavailable");
      else reject(error);
    });
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve("free")));
  });
}
