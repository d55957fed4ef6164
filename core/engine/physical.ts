import type { File } from "#core/archive/manifest";
import type { Settings } from "#core/engine/engine";

/** Where a backup goes: contents of files, each listed when it was written. */
export interface Sink {
  write(content: Uint8Array): Promise<void>;
  file(file: File): void;
}

/** What an increment is made against. */
export interface Parent {
  systemIdentifier: string;
  timeline: number;
  startLsn: string;
  /** Size of each file then, by path; undefined = it was not there. */
  sizeOf(path: string): number | undefined;
}

export interface BackupOrder {
  label: string;
  parent?: Parent;
  /** Ends it; whoever aborts sees the reason thrown. */
  signal: AbortSignal;
}

/** What a backup is, as the server tells it. Times are the server's, ISO 8601. */
export interface BackupFacts {
  engine: { name: string; version: number };
  systemIdentifier: string;
  timeline: number;
  startLsn: string;
  stopLsn: string;
  startedAt: string;
  stoppedAt: string;
  pageBytes: number;
  directories: string[];
  dataBytes: number;
  /** Whether it holds only what changed since the parent; why not, where that was asked for. */
  incremental: boolean;
  note?: string;
}

/** A backup to restore from: its files in order, and their contents one after the other. */
export interface Source {
  engine: { name: string; version: number };
  systemIdentifier: string;
  pageBytes: number;
  dataBytes: number;
  directories: string[];
  files(): Iterable<File>;
  content(): AsyncIterable<Buffer>;
}

export interface RestoreOrder {
  settings: Settings;
  /** A full backup, then its increments. */
  chain: Source[];
  /** All that was committed by then, out of the archive. */
  until?: { time: string; log: LogArchive };
  /** Told of every piece that was restored, bytes. */
  moved: (bytes: number) => void;
}

/** Archived log, read piece by piece. */
export interface LogArchive {
  /** Undefined = there is none of this name. */
  piece(name: string): Promise<Buffer | undefined>;
  /** Whether it has a piece of the same timeline behind this one. */
  follows(name: string): Promise<boolean>;
}

/** A piece of the log that was finished, and waits on the volume to be archived. */
export interface Piece {
  name: string;
  size: number;
  /** It takes on the volume. */
  bytes: number;
}

/** Where the log ends now. */
export interface Position {
  systemIdentifier: string;
  timeline: number;
  /** ISO 8601, by the server's clock. */
  at: string;
  /** Bytes from the beginning of all log. */
  lsn: bigint;
  /** The next transaction's number, where none that writes is open; undefined where one is. */
  quiet: string | undefined;
}

/**
 * What an engine can that is backed up by copying its files and its log. Every method may be called again after a crash in its
 * middle.
 */
export interface Physical {
  /** While the server serves. Reads at most a few MB ahead of the sink. */
  backup(order: BackupOrder, sink: Sink): Promise<BackupFacts>;
  /**
   * In place of `initialise`: fills the volume and replays. Nothing of the volume counts before all was read. The server is down
   * when it ends, and belongs to this agent; users and data are as they were. Restored already = success.
   */
  restore(order: RestoreOrder): Promise<void>;
  /** Of the log, in order. */
  pieces(): Promise<Piece[]>;
  content(piece: Piece): AsyncIterable<Buffer>;
  /** One that is archived, or is not to be. */
  release(piece: Piece): Promise<void>;
  /** Whether pieces were given up for want of room since the last `forget`. */
  lost(): Promise<boolean>;
  forget(): Promise<void>;
  position(): Promise<Position>;
  /** Ends the present piece. */
  turn(): Promise<void>;
  /** The stretch of log that a piece holds, in bytes from the beginning; undefined for one that holds none. */
  stretch(name: string): { timeline: number; from: bigint; to: bigint } | undefined;
}
