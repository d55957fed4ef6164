import { lstat } from "node:fs/promises";
import * as z from "zod";
import type { Clock } from "#core/clock";
import type { LogFile } from "#core/engine/engine";
import { AppError, badRequest, describe } from "#core/error";
import type { JsonFile } from "#core/guest/agent/file";
import type { Link } from "#core/guest/agent/link";
import { begins, headOf, masked, opened, pieceAt, type Head } from "#core/guest/agent/logpiece";
import type { GuestLog } from "#core/guest/protocol";
import { log } from "#core/log";

const Place = z.object({
  /** When the file was first met: with the offset it names the objects, so that what is published again replaces itself. */
  since: z.string(),
  head: z.object({ bytes: z.number(), digest: z.string() }),
  offset: z.number(),
});
type Place = z.infer<typeof Place>;

/** `logs.json` in the state directory: by log, how much was published of it, and up to where. */
export const LogsFile = z.record(z.string(), z.object({ published: z.number(), place: Place.exactOptional() }));
export type LogsKept = z.infer<typeof LogsFile>;

interface Parts {
  files(): LogFile[];
  /** Names of the users' logs that are turned on. */
  enabled(): readonly string[];
  noted: JsonFile<LogsKept>;
  link: Pick<Link, "signed">;
  clock: Clock;
  /** Fires when the agent ends. */
  signal: AbortSignal;
}

/** A file, or what it held before, with what is not published of it. */
interface Segment {
  path: string;
  /** Nothing is added to it any more. */
  closed: boolean;
  from: number;
  bytes: number;
  place: Place | undefined;
}

/**
 * So many pieces may have to be sent again. They are cut as before and replace themselves; only one that ended where its file
 * ended may be cut in another way the next time, so that is written down at once.
 */
const piecesBetweenNotes = 16;
const uploadMs = 60_000;
const uploadTries = 6;

/**
 * The logs of this machine and what was published of them. A log that is begun anew keeps what it held in a second file, so
 * nothing is missed as long as it is published at least once per turn. Whatever ends the agent, the next publication goes on.
 */
export class Logs {
  readonly #p: Parts;
  /** Newer than what is written down. */
  readonly #now = new Map<string, LogsKept[string]>();

  constructor(parts: Parts) {
    this.#p = parts;
  }

  /** Throws AppError `badRequest` unless there is a log of this name. */
  demand(name: string): LogFile {
    const found = this.#p.files().find((one) => one.name === name);
    if (!found) throw badRequest(`There is no log "${name}" on this instance.`, { reason: "log.unknown" });
    return found;
  }

  survey(): Promise<GuestLog[]> {
    return Promise.all(this.#p.files().map(({ name }) => this.show(name)));
  }

  async show(name: string): Promise<GuestLog> {
    const file = this.demand(name);
    const { published, place } = this.#kept(name);
    const segments = await this.#segments(file);
    const pending = segments.reduce((sum, { bytes, from }) => sum + Math.max(0, bytes - from), 0);
    const rotated = place !== undefined && segments.at(-1)?.place === undefined && pending > 0;
    return { name, type: file.type, enabled: file.type === "SYS" || this.#p.enabled().includes(name), published, pending, rotated };
  }

  /** Removes what was published; all that is still in the files can be published again. */
  async discard(name: string, job: string): Promise<void> {
    this.demand(name);
    await this.#send(`/logs/${job}/discard`, undefined);
    await this.#keep(name, { published: 0 });
  }

  /** Publishes what is there now and was not published before, piece by piece. AppError when the control plane does not take it; what it took stays published. */
  async publish(name: string, job: string): Promise<void> {
    const file = this.demand(name);
    // What is logged meanwhile is left for the next time, or a busy server's publication would never end.
    let left = (await this.show(name)).pending;
    try {
      for (let pieces = 1; left > 0; pieces++) {
        const sent = await this.#one(file, job, pieces % piecesBetweenNotes === 0);
        if (sent === 0) break;
        left -= sent;
      }
    } finally {
      await this.#note();
    }
    const { published, place } = this.#kept(name);
    await this.#send(`/logs/${job}/metafile`, Buffer.from(JSON.stringify({ log: name, published, ...place })));
  }

  /** Publishes one piece; answers its length. 0 = there is none. */
  async #one(file: LogFile, job: string, noted: boolean): Promise<number> {
    for (const segment of await this.#segments(file)) {
      const piece = await this.#read(file.name, segment);
      if (!piece) continue;
      const { place, bytes, isLast } = piece;
      await this.#send(`/logs/${job}/log-${place.since}-${String(place.offset).padStart(15, "0")}`, masked(bytes));
      this.#now.set(file.name, { published: this.#kept(file.name).published + bytes.length, place: { ...place, offset: place.offset + bytes.length } });
      if (isLast || noted) await this.#note();
      return bytes.length;
    }
    return 0;
  }

  /** The next piece of a segment, if it has one, and where it is from; that is written down before anything is sent. */
  async #read(name: string, { path, from, closed, place: known }: Segment): Promise<{ place: Place; bytes: Buffer; isLast: boolean } | undefined> {
    return opened(path, async (file) => {
      const head = known?.head ?? (await headOf(file));
      const piece = head && (await pieceAt(file, from, closed));
      // Begun anew between the two looks: the next round finds it elsewhere.
      if (!piece || !(await begins(file, head))) return undefined;
      const place = known ?? { since: this.#p.clock.now().toISOString().replace(/[-:.]/g, ""), head, offset: 0 };
      if (!known) await this.#keep(name, { published: this.#kept(name).published, place });
      return { place, ...piece };
    });
  }

  /** What there is to publish, oldest first. */
  async #segments({ name, path, previous }: LogFile): Promise<Segment[]> {
    const { place } = this.#kept(name);
    if (place && (await isIt(path, place.head, place.offset))) return [await segment(path, false, place)];
    const older = (await sizeOf(previous)) > 0 ? [await segment(previous, true, place && (await isIt(previous, place.head, place.offset)) ? place : undefined)] : [];
    return [...older, await segment(path, false, undefined)];
  }

  #kept(name: string): LogsKept[string] {
    return this.#now.get(name) ?? this.#p.noted.value[name] ?? { published: 0 };
  }

  #keep(name: string, kept: LogsKept[string]): Promise<void> {
    this.#now.set(name, kept);
    return this.#note();
  }

  #note(): Promise<void> {
    return this.#p.noted.update({ ...this.#p.noted.value, ...Object.fromEntries(this.#now) });
  }

  /** A moment without the control plane is no reason to begin again. */
  async #send(path: string, bytes: Uint8Array | undefined): Promise<void> {
    const { link, clock, signal } = this.#p;
    for (let at = 1; ; at++) {
      try {
        await link.signed({ path, body: {}, ...(bytes && { bytes }), reply: z.unknown(), timeoutMs: uploadMs, signal });
        return;
      } catch (error) {
        if (at === uploadTries || signal.aborted) {
          throw new AppError("serviceUnavailable", "The log could not be brought to the object store.", { reason: "log.upload", cause: error, next: "What was published stays; publish again to go on." });
        }
        log.warn("a part of a log was not taken and is sent again", { error: describe(error) });
        await clock.sleep(250 * 2 ** at, signal);
      }
    }
  }
}

async function segment(path: string, closed: boolean, place: Place | undefined): Promise<Segment> {
  return { path, closed, from: place?.offset ?? 0, bytes: await sizeOf(path), place };
}

const isIt = async (path: string, head: Head, offset: number) => (await sizeOf(path)) >= offset && ((await opened(path, (file) => begins(file, head))) ?? false);

async function sizeOf(path: string): Promise<number> {
  try {
    return (await lstat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0;
    throw error;
  }
}
