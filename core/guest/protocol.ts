import { createHash } from "node:crypto";
import * as z from "zod";
import { Follower, Following, Position } from "#core/guest/replica";

export { Position, PromoteResult, replicaBound, ServeResult, type Follower, type Following } from "#core/guest/replica";

/**
 * What the control plane and a guest agent say to each other, over HTTPS, always asked by
 * the agent. The server accepts agents two protocol versions back.
 */
export const PROTOCOL = 1;
/** The oldest version that a server of the given one accepts. */
export const oldestProtocol = (spoken: number) => Math.max(1, spoken - 2);

/** Given to a new server as boot data (config drive, user data, or a file). */
export const Boot = z.object({
  protocol: z.number().int(),
  instanceId: z.uuid(),
  generation: z.number().int(),
  /** e.g. `https://127.0.0.1:41234/guest/v1` */
  url: z.url(),
  /** PEM of the CAs by which the agent knows the server, and of no other; empty = the public ones. */
  ca: z.string(),
  /** One-time enrolment token, 256 bit hex. */
  token: z.string(),
  datastore: z.object({ manager: z.string(), version: z.string() }),
});
export type Boot = z.infer<typeof Boot>;

const Database = z.object({ name: z.string(), characterSet: z.string().optional(), collate: z.string().optional() });
/** `verifier` is a SCRAM-SHA-256 verifier: no plaintext password travels or is stored. */
const User = z.object({ name: z.string(), host: z.string().optional(), verifier: z.string(), databases: z.array(z.string()).default([]) });
/** CIDRs that may connect; null = everyone, empty = nobody. */
const Cidrs = z.array(z.string()).nullable();

/**
 * While a job waits it holds nothing but the module's id: `work` is added when the guest fetches it, as contents are kept
 * sealed. Contents are base64; null = they cannot be opened. In the order in which they are to be applied.
 */
const Module = z.object({
  id: z.uuid(),
  work: z.object({ type: z.string(), name: z.string(), md5: z.string(), contents: z.string().nullable() }).exactOptional(),
});
export type Module = z.infer<typeof Module>;

/** What a guest answers to `apply_modules`, and to a `prepare` that had modules. */
export const ModulesResult = z.object({
  modules: z.array(z.object({ id: z.uuid(), md5: z.string().max(64), status: z.enum(["OK", "ERROR"]), message: z.string().max(2000) })).max(1000),
});
export type ModulesResult = z.infer<typeof ModulesResult>;

/** What a configuration group sets, by parameter; absent = leave it as it is. */
const Overrides = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));

export const tlsModes = ["builtin", "basic", "enforced", "mtls"] as const;
/** Contract §5.6: the installation's certificate, or the user's; TLS offered, demanded, or demanded with a certificate of the client. */
export type TlsMode = (typeof tlsModes)[number];
/** Where a certificate came from; the agent only keeps it, so that who goes back knows whither. */
const TlsSource = { mode: z.enum(tlsModes), containerRef: z.string().exactOptional(), passwordRef: z.string().exactOptional() };
/** A certificate with its key, readable for the agent alone: `core/guest/seal`, bound by `tlsBound`. */
export const GivenTls = z.object({ ...TlsSource, sealed: z.string() });
export type GivenTls = z.infer<typeof GivenTls>;
/** What is inside, as JSON; PEM. */
export const TlsBundle = z.object({ certificate: z.string(), key: z.string(), ca: z.string() });
export type TlsBundle = z.infer<typeof TlsBundle>;
/** What a sealed certificate is for, and for no other instance, server or mode. */
export const tlsBound = (instanceId: string, generation: number, mode: TlsMode) => `coffer tls\n${instanceId}\n${generation}\n${mode}`;
/** What a `tls` job answers: what is in force now. */
export const TlsResult = z.object(TlsSource);
export type TlsResult = z.infer<typeof TlsResult>;

/** Where the objects of a backup, or of an archive of WAL, are: names in `container` of the project that begin with `<prefix>/`. */
export const Place = z.object({ projectId: z.string().min(1), container: z.string().min(1).max(256), prefix: z.string().min(1).max(900) });
export type Place = z.infer<typeof Place>;
/** SHA-256 of the stored bytes of a backup's manifest, hex: whoever knows it knows the whole backup. */
const Checksum = z.string().regex(/^[0-9a-f]{64}$/);
/** A backup as a restore needs it. */
export const StoredBackup = z.object({ backupId: z.uuid(), checksum: Checksum, place: Place });
export type StoredBackup = z.infer<typeof StoredBackup>;
/**
 * What a new instance begins with: a full backup and its increments, oldest first; and, with `until`, all that was committed up to
 * that second (ISO 8601, UTC) by the archived WAL of the instance that was backed up.
 */
export const Restore = z.object({ chain: z.array(StoredBackup).min(1).max(1000), until: z.object({ time: z.iso.datetime() }).exactOptional() });
export type Restore = z.infer<typeof Restore>;

/** What each kind of job carries. Every kind is idempotent: doing it twice equals doing it once. */
export const jobs = {
  /** The first job: initialise, restore, or copy the source's data; start; create what the user asked for. */
  prepare: z.object({ memoryMb: z.number(), volumeGb: z.number(), cidrs: Cidrs, overrides: Overrides.exactOptional(), databases: z.array(Database), users: z.array(User), modules: z.array(Module).exactOptional(), restore: Restore.exactOptional(), following: Following.exactOptional() }),
  restart: z.object({ overrides: Overrides.exactOptional() }),
  /** New size of the server: derive memory settings, restart. */
  configure: z.object({ memoryMb: z.number(), overrides: Overrides.exactOptional() }),
  /**
   * Puts the values of a configuration group, or none, in force without a restart. `before` is the control plane's note
   * of what the instance was, should the guest refuse. The result names what waits for a restart: `restartRequired`.
   */
  apply_configuration: z.object({ overrides: Overrides, before: z.object({ configurationId: z.uuid().nullable(), pending: z.boolean() }) }),
  /** Takes the database down, to stay so until a restart, a configure or a prepare. */
  stop: z.object({}),
  /** Questions: see `questions`. */
  ping: z.object({}),
  diagnostics: z.object({}),
  hwinfo: z.object({}),
  grow_volume: z.object({ volumeGb: z.number() }),
  access: z.object({ cidrs: Cidrs }),
  /** Puts a certificate and a mode in force: a given one, the built-in one, those before the last change, or the present ones again. `id` tells this change from others: to go back twice is not to go back once. */
  tls: z.object({ id: z.uuid(), change: z.discriminatedUnion("to", [z.object({ to: z.literal("given"), given: GivenTls }), z.object({ to: z.enum(["builtin", "previous", "same"]) })]) }),
  /** Lets exactly these follow. Answers `ServeResult`. */
  serve: z.object({ followers: z.array(Follower) }),
  /** From now on a replica of that source, whatever it was before; copied anew where its data has gone another way. Answers `seeded`. */
  follow: Following,
  /** A source becomes read-only, for good, following nobody. Answers its `Position`: all that it ever wrote is before `received`. */
  hold: z.object({}),
  /** A replica becomes a source of its own, once it has all up to `until`; not begun after `before`. Answers `PromoteResult`. */
  promote: z.object({ until: z.string().exactOptional(), before: z.iso.datetime().exactOptional() }),
  /** Answers the `Position`. */
  position: z.object({}),
  create_databases: z.object({ databases: z.array(Database) }),
  delete_database: z.object({ name: z.string() }),
  create_users: z.object({ users: z.array(User) }),
  change_passwords: z.object({ users: z.array(z.object({ name: z.string(), host: z.string().optional(), verifier: z.string() })) }),
  update_user: z.object({ name: z.string(), host: z.string().optional(), newName: z.string().optional(), newHost: z.string().optional(), verifier: z.string().optional() }),
  delete_user: z.object({ name: z.string(), host: z.string().optional() }),
  grant: z.object({ name: z.string(), host: z.string().optional(), databases: z.array(z.string()) }),
  revoke: z.object({ name: z.string(), host: z.string().optional(), database: z.string() }),
  enable_root: z.object({ verifier: z.string() }),
  /** Sets an unknown password; the account remains (contract §6.15). */
  disable_root: z.object({ verifier: z.string() }),
  /** One that cannot be applied does not fail the job: the result says how each went. */
  apply_modules: z.object({ modules: z.array(Module) }),
  remove_module: z.object({ id: z.uuid(), type: z.string() }),
  /**
   * In this order: turns a log on or off (absent = as it is), removes what was published of it, publishes what was not.
   * `to` is the control plane's note, and the guest's grant: what it uploads while the job is queued lands there.
   */
  log: z.object({
    name: z.string().max(64),
    enable: z.boolean().exactOptional(),
    discard: z.boolean(),
    publish: z.boolean(),
    to: z.object({ projectId: z.string(), prefix: z.string() }),
  }),
  /**
   * A physical backup; answers `BackupResult`. With `parent`, what changed since that; a parent that is not of this server, or cannot
   * be read, makes it a full one. Runs beside other jobs, once those accepted before it have ended. Keys and addresses come with `Grant`.
   */
  backup: z.object({ backupId: z.uuid(), label: z.string().max(1000), place: Place, parent: z.object({ backupId: z.uuid(), checksum: Checksum }).exactOptional(), limitBytesPerSecond: z.number().positive().exactOptional() }),
  /** Ends the backup that runs, or waits, as failed (`backup.cancelled`). Its objects are the control plane's to remove. Unknown or over = success. */
  cancel_backup: z.object({ backupId: z.uuid() }),
} as const;
export type JobKind = keyof typeof jobs;
export type JobSpec<K extends JobKind = JobKind> = z.infer<(typeof jobs)[K]>;
/** Jobs that change nothing: one that fails is no fault of the instance. Their results are `Diagnostics` and `Hardware`. */
export const questions = ["ping", "diagnostics", "hwinfo"] as const satisfies readonly JobKind[];
const Count = z.number().int().nonnegative();
/** Of the agent's own process; memory in kB. */
export const Diagnostics = z.object({ version: z.string().max(64), threads: Count, fdSize: Count, vmSize: Count, vmPeak: Count, vmRss: Count, vmHwm: Count });
export type Diagnostics = z.infer<typeof Diagnostics>;
/** Memory in kB. */
export const Hardware = z.object({ memTotal: Count, cpus: Count });
export type Hardware = z.infer<typeof Hardware>;
const jobKinds = Object.keys(jobs) as [JobKind, ...JobKind[]];

const Bytes = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER);
/** A position in WAL, as PostgreSQL writes it: `16/B374D848`. */
const Lsn = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/);

/** What a `backup` job answers. Times are the database server's, ISO 8601. */
export const BackupResult = z.object({
  /** In the object store. */
  bytes: Bytes,
  /** What a restore of it needs on a volume, WAL included. */
  dataBytes: Bytes,
  checksum: Checksum,
  startLsn: Lsn,
  stopLsn: Lsn,
  timeline: z.number().int().positive(),
  systemIdentifier: z.string().regex(/^\d{1,20}$/),
  startedAt: z.iso.datetime(),
  stoppedAt: z.iso.datetime(),
  parts: Count,
  /** False where an increment was asked for and a full backup was made. */
  incremental: z.boolean(),
  /** Why it is a full one, in words. */
  note: z.string().max(1000).optional(),
});
export type BackupResult = z.infer<typeof BackupResult>;

/** A stretch of WAL that no archive has: no second between the two can be restored. */
const Gap = z.object({ from: z.iso.datetime(), to: z.iso.datetime() });

/**
 * How far the archive of WAL reaches. A backup that stopped between `earliest` and `latest` can be brought to any second
 * from its end to `latest`.
 */
export const Archive = z.object({
  systemIdentifier: z.string().regex(/^\d{1,20}$/),
  timeline: z.number().int().positive(),
  /** From here on nothing is missing; absent until the first piece was stored. */
  earliest: z.iso.datetime().optional(),
  /** Up to here all that was committed is stored. */
  latest: z.iso.datetime().optional(),
  /** The last ones, oldest first. */
  gaps: z.array(Gap).max(100),
  /** What waits on the volume to be stored. */
  pendingBytes: Bytes,
  /** Why nothing is stored at the moment. */
  error: z.string().max(1000).optional(),
});
export type Archive = z.infer<typeof Archive>;

export const Inventory = z.object({
  databases: z.array(z.object({ name: z.string() })),
  users: z.array(z.object({ name: z.string(), host: z.string(), databases: z.array(z.string()) })),
  /** PEM of the certificate that the server presents; absent = an agent that does not say. */
  certificate: z.string().optional(),
});
export type Inventory = z.infer<typeof Inventory>;

/** A log of the guest's, and how much of it is in the object store, in bytes. */
export const GuestLog = z.object({
  name: z.string().max(64),
  type: z.enum(["USER", "SYS"]),
  enabled: z.boolean(),
  published: z.number().nonnegative().max(Number.MAX_SAFE_INTEGER),
  pending: z.number().nonnegative().max(Number.MAX_SAFE_INTEGER),
  /** A new file was begun since the last publication. */
  rotated: z.boolean(),
});
export type GuestLog = z.infer<typeof GuestLog>;

/** Bytes of one object of a published log at most, but for one line that is longer (contract §5.5, `guest_log_limit`). */
export const LOG_CHUNK_BYTES = 1_000_000;
/** Of one upload: a chunk that ends with the end of its record. */
export const LOG_UPLOAD_BYTES = 2 * LOG_CHUNK_BYTES;
/** What an object of a log may be called: the beginning of its file, and where in it. `metafile` notes how far the log was published. */
export const LogObject = z.union([z.literal("metafile"), z.string().regex(/^log-\d{8}T\d{9}Z-\d{15}$/)]);

export const EnrolRequest = z.object({
  protocol: z.number().int(),
  instanceId: z.uuid(),
  generation: z.number().int(),
  token: z.string().max(128),
  /** Ed25519 SPKI DER, base64: who signs the agent's requests from now on. */
  publicKey: z.string().max(512),
  /** P-256 SPKI DER, base64: the engine's TLS key; the reply carries its certificate. */
  tlsPublicKey: z.string().max(512),
});
export type EnrolRequest = z.infer<typeof EnrolRequest>;
export const EnrolReply = z.object({ certificate: z.string(), ca: z.string() });
export type EnrolReply = z.infer<typeof EnrolReply>;

/** Asks for another certificate for the engine's key, before the present one ends; answered as an enrolment is. */
export const CertificateRequest = z.object({ tlsPublicKey: z.string().max(512) });
export type CertificateRequest = z.infer<typeof CertificateRequest>;

export const RotateRequest = z.object({ publicKey: z.string().max(512) });
export type RotateRequest = z.infer<typeof RotateRequest>;

export const Report = z.object({
  serviceStatus: z.enum(["building", "healthy", "running", "shutdown", "crashed", "failed"]),
  agentVersion: z.string().max(64),
  engineVersion: z.string().max(64).optional(),
  volumeUsedBytes: Bytes.optional(),
  volumeTotalBytes: Bytes.optional(),
  /** How far tenants may write, by the room that is left; absent = an agent that does not guard its volume. */
  writes: z.enum(["open", "guarded", "closed"]).optional(),
  /** X25519 SPKI DER, base64: what is confided to the agent is sealed for it; absent = an agent that takes no certificates. */
  sealingKey: z.string().max(512).optional(),
  /** Only when it differs from the last one the server has acknowledged. */
  inventory: Inventory.optional(),
  /** With every report: what is pending changes all the time, and is as old as the report. Absent = an agent that publishes none. */
  logs: z.array(GuestLog).max(20).optional(),
  /** With every report of one that follows or is followed. */
  replication: Position.optional(),
  /** Of the backup or restore that runs: bytes moved so far; they rise as long as it gets on. */
  progress: z.object({ jobId: z.uuid(), bytes: Bytes }).optional(),
  /** Absent = nothing is archived. */
  archive: Archive.optional(),
});
export type Report = z.infer<typeof Report>;

/** `POST /guest/v1/grant`: asks for the places of a queued job of this guest's, or for that of its WAL. */
export const GrantRequest = z.union([z.object({ jobId: z.uuid() }), z.object({ archive: z.literal(true) })]);
export type GrantRequest = z.infer<typeof GrantRequest>;
export const grantMethods = ["GET", "HEAD", "PUT"] as const;
export const GrantReply = z.object({
  /** Bound into every object, with place and name. */
  installation: z.string().min(1),
  places: z
    .array(
      z.object({
        /** `wal`: of this instance (`archive`), or, for a restore with `until`, of the one that was backed up. */
        backupId: z.union([z.uuid(), z.literal("wal")]),
        /** That of the job; of WAL the prefix is the id of the instance it is of. */
        place: Place,
        /** `<url>/<name>` is an object (GET, HEAD, PUT); `<url>?list&after=<name>` tells up to 1000 names, in order: `ObjectList`. */
        url: z.url({ protocol: /^https$/ }),
        /** Sent with every request. */
        headers: z.record(z.string(), z.string()),
        methods: z.array(z.enum(grantMethods)),
        expiresAt: z.iso.datetime(),
        /** The 256 bit data key, in hex, sealed for the agent (`core/guest/seal`), bound by `keyBound`. */
        key: z.string(),
      }),
    )
    .max(1001),
});
export type GrantReply = z.infer<typeof GrantReply>;
/** Names below the prefix, without it. */
export const ObjectList = z.object({ objects: z.array(z.object({ name: z.string(), bytes: Bytes })) });
export type ObjectList = z.infer<typeof ObjectList>;
/** What a sealed data key is for: this agent, and this backup or the WAL of this prefix. */
export const keyBound = (instanceId: string, generation: number, { projectId, container, prefix }: Place) => ["coffer data key", instanceId, generation, projectId, container, prefix].join("\n");
/** Of one object that a grant lets in. */
export const OBJECT_BYTES = 64 * 1024 * 1024;

export const JobResult = z.object({
  id: z.uuid(),
  ok: z.boolean(),
  /** Why it failed, in words for the user. */
  error: z.string().max(4000).optional(),
  result: z.record(z.string(), z.unknown()).optional(),
});
export type JobResult = z.infer<typeof JobResult>;

export const SyncRequest = z.object({
  protocol: z.number().int(),
  report: Report,
  results: z.array(JobResult).max(100),
  /** How long the server may hold the reply while there is no job, where it can hold at all. */
  holdSeconds: z.number().min(0).max(30),
});
export type SyncRequest = z.infer<typeof SyncRequest>;

export const SyncReply = z.object({
  /** In order of acceptance; the agent does them one after the other. */
  jobs: z.array(z.object({ id: z.uuid(), kind: z.enum(jobKinds), spec: z.record(z.string(), z.unknown()) })),
  /** Results that are stored for good: the agent forgets them. */
  acknowledged: z.array(z.uuid()),
  pollSeconds: z.number(),
  /** After this age the agent replaces its signing key. */
  rotateAfterSeconds: z.number(),
  /** Where the server has a doorbell; an agent that knows none asks every `pollSeconds`. */
  doorbell: z
    .object({
      /** `wss://<host>/<stage>`, opened with the headers of a signed request for `DOORBELL_PATH`. */
      url: z.url({ protocol: /^wss$/ }),
      /** Whether the server could ring now. */
      connected: z.boolean(),
      /** Once connected the agent says this often, by a message, that what it reported still holds. */
      pingSeconds: z.number().positive(),
      /** And asks no more often than this, unless it is rung or has something to tell. */
      pollSeconds: z.number().positive(),
    })
    .optional(),
});
export type SyncReply = z.infer<typeof SyncReply>;

/**
 * A signed request carries these headers. The signature is Ed25519 over the bytes of
 * `signedText`; `sequence` rises with every request, so a replay is refused.
 */
export const headers = {
  instance: "x-coffer-instance",
  generation: "x-coffer-generation",
  sequence: "x-coffer-sequence",
  signature: "x-coffer-signature",
} as const;

/** Signed, with an empty body, to open a doorbell: a WebSocket API does not say which path was asked for. */
export const DOORBELL_PATH = "/guest/v1/doorbell";
/** What an agent sends over the doorbell. What comes back says nothing but: ask. */
export const PING = "ping";

export const signedText = (path: string, instanceId: string, generation: number, sequence: number, body: string | Uint8Array) =>
  `POST ${path}\n${instanceId}\n${generation}\n${sequence}\n${createHash("sha256").update(body).digest("hex")}`;
