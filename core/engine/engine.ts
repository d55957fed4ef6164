import type { Physical } from "#core/engine/physical";
import type { Inventory, JobSpec, TlsBundle, TlsMode } from "#core/guest/protocol";
import type { Member, Replication, Standby } from "#core/engine/replication";
import type { Overrides } from "#core/parameter/fact";

/** The machine an agent finds itself on; written by whoever started the agent. */
export interface Machine {
  /** The agent's own files (keys, journal); nobody else may read them. */
  stateDirectory: string;
  /** Root of the data volume; the engine's data lives in a folder below. */
  volumeDirectory: string;
  /** A directory on the file system that the volume takes its room from, where that may run out before the volume does. */
  backingDirectory?: string;
  /** Unix sockets and other things that need not survive; a short path. */
  runDirectory: string;
  /** Where the engine's programs are, e.g. `.../pg17/native`. */
  engineDirectory: string;
  address: string;
  port: number;
  /** The agent's own log, where it is a file; `<file>.1` is what it held before. */
  logFile?: string;
  /** The uid and gid the engine runs as; absent where the agent cannot change its uid. */
  engineUser?: { uid: number; gid: number };
}

/** Settings that come from the instance's shape and outlive restarts of the agent. */
export interface Settings {
  memoryMb: number;
  volumeGb: number;
  /** CIDRs that may connect; null = everyone, empty = nobody. */
  cidrs: string[] | null;
  /** What a configuration group sets instead of what the size would; absent = nothing. */
  overrides?: Overrides;
  /** Names of the users' logs that are turned on; absent = none. */
  logs?: string[];
  /** What is demanded of those who connect; absent = TLS is offered. */
  tlsMode?: TlsMode;
  /** Who follows it; absent = nobody. */
  members?: Member[];
  /** Present on a replica. */
  standby?: Standby;
}

/** A log that can be published. */
export interface LogFile {
  name: string;
  /** `USER`: turned on and off by its owner. `SYS`: always on. */
  type: "USER" | "SYS";
  path: string;
  /** What the file held before it was last begun anew. */
  previous: string;
}

/** Bytes. */
export interface Usage {
  usedBytes: number;
  totalBytes: number;
  /** What the engine can still write before the system refuses: no more than the file system below the volume has left. */
  freeBytes: number;
}

/**
 * How far tenants may write. `guarded`: sessions are read-only, unless they ask for the contrary, to
 * clear up; `closed`: who writes all the same is cut off.
 */
export const writeLimits = ["open", "guarded", "closed"] as const;
export type Writes = (typeof writeLimits)[number];

export type Health = "healthy" | "running" | "shutdown" | "crashed";

/**
 * One kind of database server, as the agent drives it. Every method may be called again
 * after a crash in its middle and then ends as one call would have.
 */
export interface Engine {
  readonly version: string;
  /** How it follows others, and is followed; absent = it cannot. */
  readonly replication?: Replication;
  /** True once `initialise` has finished for this volume. */
  initialised(): Promise<boolean>;
  initialise(): Promise<void>;
  /** Brings the server up with these settings, or adopts the one that runs. Returns when it takes connections. */
  start(settings: Settings): Promise<void>;
  /** Orderly and fast; resolves when the process is gone. Not running = success. */
  stop(): Promise<void>;
  restart(settings: Settings): Promise<void>;
  /** Access rules, without restart. */
  applyAccess(settings: Settings): Promise<void>;
  /**
   * Throws AppError `badRequest`, naming the parameter, unless the server takes each of these
   * settings. Changes nothing. Whether they go together, only a start tells.
   */
  check(settings: Settings): Promise<void>;
  /** Checks these settings and puts them in force as far as that is possible without a restart; the names of those that wait for one. */
  applyConfiguration(settings: Settings): Promise<string[]>;
  /** The logs it writes; their directories belong to the agent alone. */
  logs(): LogFile[];
  /** Turns logs on and off as `settings` say, without a restart. */
  applyLogs(settings: Settings): Promise<void>;
  /**
   * Puts a certificate with its key in force, and what the settings demand of those who connect; without restart where the engine
   * can. Sessions that would no longer be let in end. In mode `mtls` a client's certificate must come from a CA of `ca`.
   */
  applyTls(settings: Settings, tls: TlsBundle): Promise<void>;
  health(): Promise<Health>;
  /** Resolves when the server process ends, however it ends. */
  exited(): Promise<void>;
  inventory(): Promise<Inventory>;
  /** Cheap enough to be asked several times a second: what is costly to know is as old as that demands. */
  usage(): Promise<Usage>;
  /** Said again, it also holds for what began meanwhile. Outlives restarts of the server; one that is down starts with it. */
  limitWrites(writes: Writes): Promise<void>;
  createDatabases(spec: JobSpec<"create_databases">): Promise<void>;
  deleteDatabase(spec: JobSpec<"delete_database">): Promise<void>;
  createUsers(spec: JobSpec<"create_users">): Promise<void>;
  changePasswords(spec: JobSpec<"change_passwords">): Promise<void>;
  updateUser(spec: JobSpec<"update_user">): Promise<void>;
  deleteUser(spec: JobSpec<"delete_user">): Promise<void>;
  grant(spec: JobSpec<"grant">): Promise<void>;
  revoke(spec: JobSpec<"revoke">): Promise<void>;
  enableRoot(spec: JobSpec<"enable_root">): Promise<void>;
  disableRoot(spec: JobSpec<"disable_root">): Promise<void>;
  /**
   * Does what a module's contents (decoded) say; a message for the user. Throws AppError `badRequest` for a type this engine
   * does not know, or contents it does not understand. Done again with other contents, it ends as if those had been the first.
   */
  applyModule(module: { id: string; type: string; contents: string }): Promise<string>;
  /** Undoes what this module alone brought. Never applied = success. */
  removeModule(module: { id: string; type: string }): Promise<void>;
  /** Absent where there are no backups of this engine. */
  readonly physical?: Physical;
  /** Closes what the agent itself holds open (connections, watchers). The server goes on. */
  close(): Promise<void>;
}
