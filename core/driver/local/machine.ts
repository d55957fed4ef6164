import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import type { Clock } from "#core/clock";
import type { ServerSpec } from "#core/driver/compute";
import type { Onto } from "#core/driver/local/blanks";
import { logOf } from "#core/driver/local/agent";
import { readRecord, writeAtomic } from "#core/driver/local/files";
import { removeGroups, type Isolation } from "#core/driver/local/isolation";
import type { LocalNetwork } from "#core/driver/local/network";
import { publishEngine } from "#core/driver/local/place";
import { until, type Traces } from "#core/driver/local/processes";
import type { RunDirectories } from "#core/driver/local/rundir";
import { Entry } from "#core/driver/local/shelf";
import type { Log } from "#core/driver/local/supervisor";
import type { LocalVolumes } from "#core/driver/local/volumes";
import type { Machine } from "#core/engine/engine";
import { AppError, notFound } from "#core/error";
import { failpoint } from "#core/failpoint";

export const ServerRecord = Entry.extend({
  flavor: z.object({ id: z.string(), ramMb: z.number(), vcpus: z.number() }),
  image: z.object({ manager: z.string(), version: z.string() }),
  volumeId: z.string(),
  portId: z.string(),
  /** Set before the first step of a removal, which a restart of Coffer then finishes. */
  removing: z.boolean(),
  /** Powered off: it stays so over restarts of Coffer. */
  stopped: z.literal(true).optional(),
});
export type ServerRecord = z.infer<typeof ServerRecord>;

const Groups = z.array(z.string());
const BootFile = z.object({ generation: z.number() });
const MachineFile = z.object({ engineDirectory: z.string() });

export interface MachineOptions {
  root: string;
  /** Directory of an engine's programs. Throws AppError when this machine does not have that version. */
  engines: (manager: string, version: string) => string;
  /** Gives an empty volume freshly initialised content, owned by `as` as far as it is a directory; false = none ready, the agent does it. */
  prepare?: (image: ServerSpec["image"], onto: Onto, as: Machine["engineUser"]) => Promise<boolean>;
  log: Log;
  volumes: LocalVolumes;
  network: LocalNetwork;
  isolation: Isolation;
  run: RunDirectories;
  clock: Clock;
}

/** The kernel counts a process that has ended as a group's member for a moment longer, ms. */
const EMPTYING_MS = 2_000;

/** What a server needs around its agent, in directory `at`: made ready, looked for, and cleared away. */
export class Machines {
  readonly #options: MachineOptions;
  readonly #published = new Map<string, Promise<string>>();
  /** Servers whose memory limit waits for the engine to shrink. */
  readonly #unsettled = new Set<string>();

  constructor(options: MachineOptions) {
    this.#options = options;
  }

  /** The first content of a new server's directory. */
  async fill(at: string, boot: ServerSpec["boot"]): Promise<void> {
    await mkdir(join(at, "state"), { mode: 0o700 });
    await writeAtomic(join(at, "boot.json"), JSON.stringify(boot));
    await failpoint("local.server.fill");
  }

  /** The content of a rebuilt server's directory: nothing of the agent before. The boot data comes last, as it says that this is done. */
  async refill(at: string, boot: ServerSpec["boot"]): Promise<void> {
    await rm(join(at, "state"), { recursive: true, force: true });
    await mkdir(join(at, "state"), { mode: 0o700 });
    await failpoint("local.server.refill");
    await writeAtomic(join(at, "boot.json"), JSON.stringify(boot));
  }

  /** The generation of the guest that the server boots. */
  async generation(at: string): Promise<number | undefined> {
    return (await readRecord(join(at, "boot.json"), BootFile))?.generation;
  }

  /** Everything but the agent itself. Returns the control groups for it to enter. */
  async ready(record: ServerRecord, at: string): Promise<string[]> {
    const { prepare, log, volumes } = this.#options;
    const machine = await this.#machine(record, at);
    await volumes.attach(record.volumeId, async (onto) => {
      const found = (await prepare?.(record.image, onto, machine.engineUser)) ?? false;
      log.debug("volume prepared", { server: record.name, ready: found });
      return found;
    });
    await writeIfChanged(join(at, "machine.json"), machine);
    return this.limit(record, at);
  }

  /** Sets the limits of the flavor. The groups are written down first: a later Coffer may run in another group itself. */
  async limit(record: ServerRecord, at: string): Promise<string[]> {
    const { isolation } = this.#options;
    const groups = isolation.groups(record.name);
    const known = await noted(at);
    await writeIfChanged(join(at, "cgroups.json"), [...new Set([...known, ...groups])]);
    await failpoint("local.server.limit");
    if (await isolation.limit(record.name, record.flavor, known)) this.#unsettled.delete(record.name);
    else this.#unsettled.add(record.name);
    return groups;
  }

  isUnsettled = (name: string) => this.#unsettled.has(name);

  async traces(record: ServerRecord, at: string): Promise<Traces> {
    const volume = await this.#options.volumes.place(record.volumeId);
    const machine = await readRecord(join(at, "machine.json"), MachineFile);
    return {
      serverDirectory: at,
      groups: (await noted(at)).map((group) => join(group, "cgroup.procs")),
      ...(volume && { volumeDirectory: volume.directory }),
      ...(volume?.uid !== undefined && { uid: volume.uid }),
      ...(machine && { engineDirectory: machine.engineDirectory }),
    };
  }

  /** Removes the server's control groups, in which nothing runs any more. */
  async ungroup(record: ServerRecord, at: string): Promise<void> {
    this.#unsettled.delete(record.name);
    const groups = await noted(at);
    if (await until(() => removeGroups(groups), EMPTYING_MS, this.#options.clock)) return;
    throw new AppError("serviceUnavailable", `A control group of server ${record.name} is still in use.`, { reason: "server.cgroup" });
  }

  async #machine(record: ServerRecord, at: string): Promise<Machine> {
    const { volumes, network, run } = this.#options;
    const volume = await volumes.place(record.volumeId);
    if (!volume) throw notFound(`There is no volume ${record.volumeId}.`);
    const port = await network.place(record.portId);
    if (!port) throw notFound(`There is no port ${record.portId}.`);
    return {
      stateDirectory: join(at, "state"),
      logFile: logOf(at),
      volumeDirectory: volume.directory,
      runDirectory: await run.make(record.name, volume.uid),
      engineDirectory: await this.#engine(record, volume.uid),
      address: port.address,
      port: port.port,
      ...(volume.uid !== undefined && { engineUser: { uid: volume.uid, gid: volume.uid } }),
      ...(volume.backing !== undefined && { backingDirectory: volume.backing }),
    };
  }

  /** Where the engine's user can run its programs. */
  #engine(record: ServerRecord, uid: number | undefined): Promise<string> | string {
    const native = this.#options.engines(record.image.manager, record.image.version);
    if (uid === undefined) return native;
    const published = this.#published.get(native) ?? publishEngine(native, this.#options.root);
    this.#published.set(native, published);
    // A failure is not kept: the next start tries again.
    published.catch(() => this.#published.delete(native));
    return published;
  }
}

const noted = async (at: string) => (await readRecord(join(at, "cgroups.json"), Groups)) ?? [];

/** A full disk must not keep an agent from being started again, so nothing is written that is there already. */
async function writeIfChanged(path: string, value: unknown): Promise<void> {
  const present = await readRecord(path, z.unknown());
  if (JSON.stringify(present) !== JSON.stringify(value)) await writeAtomic(path, JSON.stringify(value));
}
