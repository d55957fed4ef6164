import { join } from "node:path";
import type { Clock } from "#core/clock";
import { check } from "#core/driver/call";
import type { Compute, Flavor, Rebuild, Server, ServerSpec } from "#core/driver/compute";
import { boundLog, lastWords, startAgent } from "#core/driver/local/agent";
import { exists, Turns, type Trash } from "#core/driver/local/files";
import { Machines, ServerRecord, type MachineOptions } from "#core/driver/local/machine";
import { end, findAgents, kill, signal } from "#core/driver/local/processes";
import { checkName, newId, Shelf } from "#core/driver/local/shelf";
import { Supervisor, type Agent } from "#core/driver/local/supervisor";
import type { Call } from "#core/driver/resource";
import { AppError, describe, notFound } from "#core/error";
import { failpoint } from "#core/failpoint";

export interface ComputeOptions extends MachineOptions {
  /** The agent program: one JavaScript file, run as `node <bundle> <server directory>`. */
  agentBundle: string;
  node: string;
  clock: Clock;
  trash: Trash;
  /** Called when there is something to clear away. */
  discarded: () => void;
}

/** How long create waits for its agent, remove for its end, ms; both go on after it. */
const SETTLE_MS = 5_000;
const REMOVE_MS = 10_000;

/** A server is a directory below `<root>/servers` and a supervised agent process. */
export class LocalCompute implements Compute {
  readonly #options: ComputeOptions;
  readonly #shelf: Shelf<ServerRecord>;
  readonly #turns = new Turns();
  readonly #supervisors = new Map<string, Supervisor>();
  readonly #removals = new Map<string, Promise<void>>();
  readonly #machines: Machines;

  constructor(options: ComputeOptions) {
    this.#options = options;
    this.#machines = new Machines(options);
    const { root, trash } = options;
    this.#shelf = new Shelf({ directory: join(root, "servers"), file: "server.json", schema: ServerRecord, trash, mode: 0o700 });
  }

  /** Adopts every server that is there: watches a living agent, starts one where there is none, finishes removals. */
  async open(): Promise<void> {
    await this.#shelf.open();
    const agents = findAgents();
    for (const record of await this.#shelf.list()) {
      if (record.removing) void this.#remove(record);
      else if (record.stopped) await this.#end(record);
      else this.#supervise(record, agents);
    }
  }

  /** Ends supervision; without `leaveRunning` also the agents and their engines, all at the same time. */
  async close({ leaveRunning }: { leaveRunning: boolean }): Promise<void> {
    const ending = (await this.#shelf.list()).map((record) =>
      this.#turns.take(record.name, async () => {
        await this.#halt(record.name);
        if (leaveRunning) return;
        await this.#end(record);
        await this.#options.volumes.detach(record.volumeId, { byForce: true });
        await this.#machines.ungroup(record, this.#shelf.path(record.name));
      }),
    );
    const results = await Promise.allSettled([...ending, ...this.#removals.values()]);
    const failed = results.filter((one) => one.status === "rejected");
    if (failed.length > 0) throw new AggregateError(failed.map((one) => one.reason as unknown), "some servers could not be stopped");
  }

  /** Volume id to name of the server that has it. */
  async holders(): Promise<ReadonlyMap<string, string>> {
    return new Map((await this.#shelf.list()).map((one) => [one.volumeId, one.name]));
  }

  async create(spec: ServerSpec, call: Call): Promise<Server> {
    checkName(spec.name);
    return this.#turns.call(spec.name, "server.create", call, async () => {
      const record = (await this.#shelf.named(spec.name)) ?? (await this.#put(spec));
      if (record.removing) throw new AppError("conflict", `Server ${spec.name} is being removed.`, { reason: "server.removing" });
      await failpoint("local.server.created");
      if (record.stopped) return this.#shown(record);
      const supervisor = this.#supervisors.get(record.name) ?? this.#supervise(record);
      await this.#atMost(SETTLE_MS, supervisor.settled, call);
      return this.#shown(record);
    });
  }

  async get(id: string, call: Call): Promise<Server | undefined> {
    check(call, "server.get");
    const found = await this.#shelf.get(id);
    return found && this.#shown(found);
  }

  async find(name: string, call: Call): Promise<Server[]> {
    check(call, "server.find");
    const found = await this.#shelf.named(name);
    return found ? [this.#shown(found)] : [];
  }

  async list(call: Call): Promise<Server[]> {
    check(call, "server.list");
    return (await this.#shelf.list()).map((one) => this.#shown(one));
  }

  async remove(id: string, call: Call): Promise<void> {
    check(call, "server.remove");
    const found = await this.#shelf.get(id);
    if (!found) return;
    const removal = await this.#turns.call(found.name, "server.remove", call, async () => {
      const record = await this.#shelf.get(id);
      if (!record) return undefined;
      if (!record.removing) await this.#shelf.rewrite({ ...record, removing: true });
      await failpoint("local.server.removing");
      // In a wrapper: awaiting it belongs outside the turn.
      return { done: this.#removals.get(record.name) ?? this.#remove(record) };
    });
    // It is surely going from here on; a caller in a hurry looks again later.
    if (removal) await this.#atMost(REMOVE_MS, removal.done, call);
  }

  resize(id: string, flavor: Flavor, call: Call): Promise<Server> {
    return this.#existing(id, "server.resize", call, async (record) => {
      const { ramMb, vcpus } = flavor;
      const resized = { ...record, flavor: { id: flavor.id, ramMb, vcpus } };
      await this.#shelf.rewrite(resized);
      await failpoint("local.server.resize");
      await this.#machines.limit(resized, this.#shelf.path(resized.name));
      return this.#shown(resized);
    });
  }

  stop(id: string, call: Call): Promise<Server> {
    return this.#existing(id, "server.stop", call, async (record) => {
      // First, so that no restart of Coffer brings up what was to be down.
      await this.#shelf.rewrite({ ...record, stopped: true });
      await failpoint("local.server.stop");
      await this.#halt(record.name);
      await kill(await this.#machines.traces(record, this.#shelf.path(record.name)), this.#options.clock);
      return this.#shown(record);
    });
  }

  async reboot(id: string, call: Call): Promise<void> {
    await this.#existing(id, "server.reboot", call, async (record) => {
      await this.#halt(record.name);
      try {
        await this.#end(record);
      } finally {
        await this.#wanted(record);
        await this.#atMost(SETTLE_MS, this.#supervise(record).settled, call);
      }
    });
  }

  rebuild(id: string, { image, boot }: Rebuild, call: Call): Promise<Server> {
    return this.#existing(id, "server.rebuild", call, async (record) => {
      const directory = this.#shelf.path(record.name);
      const rebuilt: ServerRecord = { ...record, image: { manager: image.manager, version: image.version } };
      if ((await this.#machines.generation(directory)) !== boot.generation) {
        // Throws before anything is stopped where the machine does not have that engine.
        this.#options.engines(image.manager, image.version);
        await this.#halt(record.name);
        try {
          await this.#end(record);
          await failpoint("local.server.rebuild");
          await this.#wanted(rebuilt);
          await this.#machines.refill(directory, boot);
        } finally {
          this.#supervise(rebuilt);
        }
      }
      await this.#atMost(SETTLE_MS, (this.#supervisors.get(record.name) ?? this.#supervise(rebuilt)).settled, call);
      return this.#shown(rebuilt);
    });
  }

  /** One machine is one host. */
  migrate(id: string, host: string | undefined, call: Call): Promise<Server> {
    return this.#existing(id, "server.migrate", call, () => {
      const where = host === undefined ? "there is no other host than this machine" : `'${host}' is not known, and there is no other host than this machine`;
      return Promise.reject(new AppError("badRequest", `No valid host was found: ${where}.`, { reason: "server.no_host", final: true }));
    });
  }

  /** Takes the server down, detaches its volume, and brings it up again, on a volume of the size that is due. No such server = success. */
  async cycle(name: string): Promise<void> {
    await this.#turns.take(name, async () => {
      const record = await this.#shelf.named(name);
      if (!record || record.removing) return;
      await this.#halt(name);
      try {
        await this.#end(record);
        await failpoint("local.volume.grow");
        await this.#options.volumes.detach(record.volumeId, { byForce: false });
      } finally {
        if (!record.stopped) await this.#supervise(record).settled;
      }
    });
  }

  async #existing<T>(id: string, verb: string, call: Call, work: (record: ServerRecord) => Promise<T>): Promise<T> {
    check(call, verb);
    const first = await this.#shelf.get(id);
    if (!first) throw notFound(`There is no server ${id}.`);
    return this.#turns.call(first.name, verb, call, async () => {
      const record = await this.#shelf.get(id);
      if (!record || record.removing) throw notFound(`There is no server ${id}.`);
      return work(record);
    });
  }

  async #put(spec: ServerSpec): Promise<ServerRecord> {
    const { volumes, network, engines, clock } = this.#options;
    engines(spec.image.manager, spec.image.version);
    if (!(await network.place(spec.portId))) throw notFound(`There is no port ${spec.portId}.`);
    return volumes.hold(spec.volumeId, async () => {
      if (!(await volumes.place(spec.volumeId))) throw notFound(`There is no volume ${spec.volumeId}.`);
      const holder = (await this.holders()).get(spec.volumeId);
      if (holder) throw new AppError("conflict", `Volume ${spec.volumeId} is in use by server ${holder}.`, { reason: "volume.in_use" });
      const { id, ramMb, vcpus } = spec.flavor;
      const record: ServerRecord = {
        id: newId(spec.name),
        name: spec.name,
        createdAt: clock.now(),
        flavor: { id, ramMb, vcpus },
        image: { manager: spec.image.manager, version: spec.image.version },
        volumeId: spec.volumeId,
        portId: spec.portId,
        removing: false,
      };
      await failpoint("local.server.create");
      return this.#shelf.put(record, (directory) => this.#machines.fill(directory, spec.boot));
    });
  }

  #supervise(record: ServerRecord, agents = findAgents()): Supervisor {
    const { clock, log } = this.#options;
    const directory = this.#shelf.path(record.name);
    const [found, ...extra] = agents.get(directory) ?? [];
    // Never two agents on one volume. A kill does not reach the engine.
    for (const one of extra) signal(one, "SIGKILL");
    if (found) log.info("agent adopted", { server: record.name, pid: found.pid });
    const supervisor = new Supervisor(
      {
        name: record.name,
        spawn: () => this.#spawn(record.name),
        tick: () => this.#tick(record.name),
        lastWords: () => lastWords(directory),
      },
      found && { process: found },
      clock,
      log,
    );
    this.#supervisors.set(record.name, supervisor);
    return supervisor;
  }

  /** Notes that the server is to run. */
  async #wanted(record: ServerRecord): Promise<void> {
    const running = { ...record };
    delete running.stopped;
    await this.#shelf.rewrite(running);
  }

  async #halt(name: string): Promise<void> {
    await this.#supervisors.get(name)?.halt();
    this.#supervisors.delete(name);
  }

  /** Ends agent and engine; supervision has been halted. */
  async #end(record: ServerRecord): Promise<void> {
    await end(await this.#machines.traces(record, this.#shelf.path(record.name)), this.#options.clock);
  }

  /** From the records as they are now. */
  async #spawn(name: string): Promise<Agent> {
    const { node, agentBundle, log } = this.#options;
    const record = await this.#shelf.named(name);
    if (!record) throw notFound(`There is no server ${name}.`);
    const directory = this.#shelf.path(name);
    const groups = await this.#machines.ready(record, directory);
    await failpoint("local.server.spawn");
    const agent = await startAgent({ node, bundle: agentBundle, directory, groups });
    log.info("agent started", { server: name, pid: agent.process.pid });
    return agent;
  }

  async #tick(name: string): Promise<void> {
    await boundLog(this.#shelf.path(name));
    if (!this.#machines.isUnsettled(name)) return;
    const record = await this.#shelf.named(name);
    if (record) await this.#machines.limit(record, this.#shelf.path(name));
  }

  /** Starts the removal; whoever waits for it does so by the promise in `#removals`. */
  #remove(record: ServerRecord): Promise<void> {
    const { log } = this.#options;
    const removal = this.#turns
      .take(record.name, () => this.#dismantle(record))
      .finally(() => this.#removals.delete(record.name));
    this.#removals.set(record.name, removal);
    removal.catch((error: unknown) => {
      // The next remove, or the next start, goes on.
      log.warn("removal of a server failed", { server: record.name, error: describe(error) });
    });
    return removal;
  }

  /** Every step may be done twice; the record goes last, so that nothing is left that no record leads to. */
  async #dismantle(record: ServerRecord): Promise<void> {
    const { run, discarded } = this.#options;
    if (!(await exists(this.#shelf.path(record.name)))) return;
    await this.#halt(record.name);
    await this.#end(record);
    await failpoint("local.server.ended");
    await this.#options.volumes.detach(record.volumeId, { byForce: true });
    await this.#machines.ungroup(record, this.#shelf.path(record.name));
    await run.remove(record.name);
    await failpoint("local.server.remove");
    await this.#shelf.drop(record.name);
    await failpoint("local.server.removed");
    discarded();
  }

  /** Waits for `work`, but no longer than `ms` nor than the caller does. */
  async #atMost(ms: number, work: Promise<void>, call: Call): Promise<void> {
    const enough = new AbortController();
    const signal = AbortSignal.any([enough.signal, call.signal]);
    try {
      await Promise.race([work, this.#options.clock.sleep(ms, signal)]);
    } finally {
      enough.abort();
    }
  }

  #shown(record: ServerRecord): Server {
    const { id, name, createdAt, flavor } = record;
    // Not supervised: Coffer is stopping, or the server is going.
    const seen = this.#supervisors.get(name)?.seen ?? { state: "SHUTDOWN" as const };
    return { id, name, createdAt, flavorId: flavor.id, ...seen };
  }
}
