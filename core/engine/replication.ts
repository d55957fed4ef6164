import type { Settings } from "#core/engine/engine";
import type { Position } from "#core/guest/protocol";

/** An instance that follows this one, as the access rules of the source know it. */
export interface Member {
  /** Of its role and of its slot: lower case letters, digits and `_`, 63 at most. */
  name: string;
  /** Where its server listens, and connects from. */
  address: string;
}

/** By what a source is known to be the one that is meant. PEM. */
export type Identity = { ca: string } | { certificate: string };

/** Whom an instance follows; no secret. */
export interface Source {
  host: string;
  port: number;
  /** Our role and our slot there. */
  name: string;
  identity: Identity;
}

/** What makes an instance a replica; kept with its settings. Without a source it is read-only and follows nobody. */
export interface Standby {
  source?: Source;
  /** What the source's settings demand of these at least, by parameter: a standby with less stops following. */
  floors?: Record<string, number>;
}

/** Whom to follow, with what it takes to be let in, and to be at home in the copy. */
export interface Upstream {
  source: Source;
  password: string;
  /** Of the source's agent, as the copy has the source's roles; absent where the copy is there already. */
  superuser?: string;
}

/** Physical replication. Every method may be called again after a crash in its middle. */
export interface Replication {
  /**
   * Lets exactly `settings.members` follow: each has a role, with its SCRAM-SHA-256 verifier, a slot, and an access rule.
   * What others had is taken away, and their connections end. A slot that lost its WAL is made anew.
   */
  serve(settings: Settings, verifiers: Record<string, string>): Promise<void>;
  /** The password of the agent's own role: followers need it, as their data has the same roles. */
  superuser(): Promise<string>;
  /** Copies the data of a source onto an empty volume; a volume that is complete is left as it is. The server is not started. */
  seed(from: Upstream): Promise<void>;
  /**
   * Follows a source from now on, whatever it was before. Where the data has gone another way than the source's, or the
   * source has no longer what is missing, it is copied anew: `seeded` then. Returns the settings in force. Resolves once it streams.
   */
  follow(settings: Settings, from: Upstream): Promise<{ settings: Settings; seeded: boolean }>;
  /** Ends writing: a source becomes a standby that follows nobody, with the same timeline. Where it ends. */
  hold(settings: Settings): Promise<{ settings: Settings; position: Position }>;
  /** Ends following, once all up to `until` (a WAL location) is there: writable, on a timeline of its own. Not following = success. */
  promote(settings: Settings, until?: string): Promise<Settings>;
  position(): Promise<Position>;
}
