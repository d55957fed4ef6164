import type { Call } from "#core/driver/resource";

/** A container of one project's. It comes into being with its first object. */
export interface Container {
  projectId: string;
  name: string;
}

export interface ObjectInfo {
  name: string;
  bytes: number;
  /** MD5 of the content, hex, as object stores say it. */
  etag: string;
  contentType: string;
  /** Microseconds since 1970; rises with every object that is stored, so that it orders those of one writer. */
  modifiedUs: number;
  /** Names in lower case. */
  meta: Record<string, string>;
  /** From then on the object is as good as gone. */
  expiresAt?: Date;
}

export interface NewObject {
  contentType?: string;
  meta?: Record<string, string>;
  expiresAt?: Date;
}

/** First and last byte, both included. */
export interface ByteRange {
  from: number;
  to: number;
}

export interface ListOptions {
  prefix?: string;
  /** Only names behind this one. */
  after?: string;
  limit: number;
}

/**
 * Where logs and backups are kept: containers of objects by name. Contents come and go as streams, so
 * that nobody needs the memory of a whole one. Names order by their UTF-8 bytes.
 */
export interface ObjectStore {
  /** Replaces an object as a whole; one whose content ends with an error leaves what was there. */
  put(at: Container, name: string, content: AsyncIterable<Uint8Array>, options: NewObject, call: Call): Promise<ObjectInfo>;
  head(at: Container, name: string, call: Call): Promise<ObjectInfo | undefined>;
  /** The content must be read to its end or given up (`return`). */
  get(at: Container, name: string, call: Call, range?: ByteRange): Promise<{ info: ObjectInfo; content: AsyncIterable<Uint8Array> } | undefined>;
  /** In order of names; undefined = there is no such container. */
  list(at: Container, options: ListOptions, call: Call): Promise<ObjectInfo[] | undefined>;
  /** Absent = success. */
  remove(at: Container, name: string, call: Call): Promise<void>;
}

/** Longest name of a container and of an object, in bytes (Swift's limits). */
export const longestName = { container: 256, object: 1024 } as const;
