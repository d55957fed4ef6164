import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "#core/clock";
import type { Compute } from "#core/driver/compute";
import type { Network } from "#core/driver/network";
import type { Volumes } from "#core/driver/volume";
import { LocalCompute, type ComputeOptions } from "#core/driver/local/compute";
import { Blanks, type VolumeForm } from "#core/driver/local/blanks";
import { Trash } from "#core/driver/local/files";
import { probe } from "#core/driver/local/images";
import { Isolation, type Controller } from "#core/driver/local/isolation";
import { addressRange, LocalNetwork } from "#core/driver/local/network";
import { RunDirectories } from "#core/driver/local/rundir";
import { canChown, mappedUids, uidRange } from "#core/driver/local/users";
import { LocalVolumes } from "#core/driver/local/volumes";
import { describe } from "#core/error";
import { log as systemLog } from "#core/log";

export interface LocalOptions
  extends Pick<ComputeOptions, "root" | "agentBundle" | "node" | "engines" | "prepare">,
    Partial<Pick<ComputeOptions, "log" | "clock">> {
  /** The installation's random id. */
  installation: string;
  /** Runs as root and may use it: own user ids. */
  privileged: boolean;
  /** False: no limits by control groups, even where they could be had. True if absent. */
  limits?: boolean;
  /** False: volumes are directories, even where they could be file systems of their own. True if absent. */
  images?: boolean;
  /** First two numbers of the addresses, e.g. `127.93`; from the installation's id where absent. */
  addressRange?: string;
}

/** How well servers are kept apart, as found by trying. */
export interface IsolationLevel {
  /** Every engine runs as a user id of its own. */
  users: boolean;
  memory: Controller;
  cpu: Controller;
  /** `ext4`: a volume is a file system of its size. `soft`: a directory, which the agent alone keeps from growing beyond it. */
  volume: "ext4" | "soft";
}

export interface LocalCloud {
  compute: Compute;
  volumes: Volumes;
  network: Network;
  /** For contents that are prepared before there is a volume for them; valid after start(). */
  blanks: Blanks;
  /** Before the first verb: clears up after a crash and adopts every server. One process per root at a time. */
  start(): Promise<void>;
  /** After it no verb may be called. Rejects with an AggregateError when some server could not be stopped. */
  stop(how: { leaveRunning: boolean }): Promise<void>;
  /** Valid after start(). */
  level(): IsolationLevel;
}

/**
 * The cloud of one Linux machine: a process per server, a directory or a file system per volume, a loopback
 * address per port. Its state is nowhere but in files below `root` and in /proc.
 */
export function createLocalCloud(options: LocalOptions): LocalCloud {
  const { root, installation, privileged, clock = systemClock, log = systemLog } = options;
  const trash = new Trash(join(root, "trash"));
  const volumes = new LocalVolumes({ root, trash, clock });
  const network = new LocalNetwork({ root, clock, range: options.addressRange ?? addressRange(installation) });
  const isolation = new Isolation(installation);
  const blanks = new Blanks(clock);
  const run = new RunDirectories({ root, installation, privileged });
  let clearing: Promise<void> = Promise.resolve();
  let users = false;

  const clear = () => {
    clearing = clearing
      .then(() => trash.empty())
      .catch((error: unknown) => log.warn("the trash could not be emptied", { error: describe(error) }));
  };
  const compute = new LocalCompute({ ...options, clock, log, trash, volumes, network, isolation, run, discarded: clear });
  volumes.holders = () => compute.holders();
  volumes.discarded = clear;
  volumes.cycle = (server) => compute.cycle(server);

  /** What volumes are here, found out by trying. */
  const formOf = async (): Promise<VolumeForm> => {
    if (!privileged || !(options.images ?? true)) return "directory";
    const obstacle = await probe(root, clock);
    if (obstacle !== undefined) log.info("volumes are directories here", { because: obstacle });
    return obstacle === undefined ? "image" : "directory";
  };

  return {
    compute,
    volumes,
    network,
    blanks,
    async start() {
      const mode = privileged ? 0o711 : 0o700;
      // A directory that is there already belongs to whoever made it.
      if ((await mkdir(root, { recursive: true, mode })) !== undefined) await chmod(root, mode);
      const range = uidRange(installation, await mappedUids());
      users = privileged && (await canChown(root, range));
      blanks.form = await formOf();
      await volumes.open(users ? range : undefined, blanks.form);
      await network.open();
      if (options.limits ?? true) isolation.open();
      await compute.open();
      clear();
    },
    async stop(how) {
      await compute.close(how);
      await clearing;
      isolation.close();
    },
    level: () => ({ users, memory: isolation.controller("memory"), cpu: isolation.controller("cpu"), volume: blanks.form === "image" ? "ext4" : "soft" }),
  };
}
