import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#core/clock";
import { AppError, codeOf } from "#core/error";
import { failpoint } from "#core/failpoint";
import type { BackupFacts, BackupOrder, Sink } from "#core/engine/physical";
import { Copier } from "#core/engine/postgresql/backup/copy";
import { lsnOf, PAGE_BYTES } from "#core/engine/postgresql/backup/pages";
import { filesOf, type Entry } from "#core/engine/postgresql/backup/tree";
import { factsOf, insertedLsn, SEGMENT_BYTES, segmentName, segmentOf, timeOf } from "#core/engine/postgresql/backup/wal";
import type { Connections, Sql } from "#core/engine/postgresql/connections";

/** WAL is copied as it is finished, so that no more of it must be kept than is written in this time, ms. */
const walEveryMs = 2_000;

/**
 * A physical backup by the low-level API, in one session. A temporary replication slot keeps WAL until it is copied; WAL from start
 * to stop is part of the backup, so that it can be restored alone.
 */
export function backup(connections: Connections, pgdata: string, order: BackupOrder, sink: Sink, clock: Clock): Promise<BackupFacts> {
  return connections.fresh((sql) => new Run(sql, pgdata, order, sink, clock).run());
}

class Run {
  readonly #sql: Sql;
  readonly #pgdata: string;
  readonly #order: BackupOrder;
  readonly #sink: Sink;
  readonly #clock: Clock;
  readonly #copier: Copier;
  readonly #slot = `coffer_backup_${randomUUID().replaceAll("-", "")}`;
  readonly #directories: string[] = [];
  #startLsn = 0n;
  #dataBytes = 0;
  /** The next segment to copy. */
  #wal = { timeline: 0, number: 0n, lookedAt: 0 };

  constructor(sql: Sql, pgdata: string, order: BackupOrder, sink: Sink, clock: Clock) {
    this.#sql = sql;
    this.#pgdata = pgdata;
    this.#order = order;
    this.#sink = sink;
    this.#clock = clock;
    this.#copier = new Copier(sink, clock);
  }

  async run(): Promise<BackupFacts> {
    const sql = this.#sql;
    const { label, parent } = this.#order;
    await sql`select pg_create_physical_replication_slot(${this.#slot}, true, true)`;
    const [start] = await sql<{ lsn: string }[]>`select pg_backup_start(${label}, true)::text as lsn`;
    if (!start) throw new Error("pg_backup_start answers nothing");
    this.#startLsn = lsnOf(start.lsn);
    const startedAt = await timeOf(sql);
    const facts = await factsOf(sql);
    const note = parent && unfit(parent, facts);
    const since = parent && note === undefined ? parent : undefined;
    this.#wal = { timeline: facts.timeline, number: segmentOf(this.#startLsn), lookedAt: 0 };
    for await (const entry of filesOf(this.#pgdata, (path) => this.#directories.push(path))) {
      await this.#file(entry, since);
      await this.#finishedWal();
      await failpoint("postgresql.backup.file");
    }
    await this.#control();
    const [stop] = await sql<{ lsn: string; label: string; map: string }[]>`select lsn::text as lsn, labelfile as label, spcmapfile as map from pg_backup_stop(false)`;
    if (!stop) throw new Error("pg_backup_stop answers nothing");
    const stoppedAt = await timeOf(sql);
    await this.#text("backup_label", stop.label);
    if (stop.map.trim() !== "") throw new AppError("conflict", "The server has tablespaces outside of the volume.", { reason: "backup.tablespace", final: true });
    // The stop has ended its segment: all of it is on disk.
    await this.#walBefore(segmentOf(lsnOf(stop.lsn) - 1n) + 1n);
    return {
      engine: { name: "postgresql", version: facts.version },
      systemIdentifier: facts.systemIdentifier,
      timeline: facts.timeline,
      startLsn: start.lsn,
      stopLsn: stop.lsn,
      startedAt,
      stoppedAt,
      pageBytes: PAGE_BYTES,
      directories: this.#directories,
      dataBytes: this.#dataBytes,
      incremental: since !== undefined,
      ...(note !== undefined && { note }),
    };
  }

  async #file(entry: Entry, parent: BackupOrder["parent"]): Promise<void> {
    this.#order.signal.throwIfAborted();
    await this.#opened(entry.path, async (file, { size, mode, mtime }) => {
      if (!entry.pages) return this.#list({ path: entry.path, size: await this.#copier.bytes(file, size), mode, mtime });
      const before = entry.pages.isMain ? parent?.sizeOf(entry.path) : undefined;
      const since = parent && before !== undefined ? { lsn: lsnOf(parent.startLsn), pages: Math.floor(before / PAGE_BYTES) } : undefined;
      const read = await this.#copier.pages(file, size, { path: entry.path, segment: entry.pages.segment, startLsn: this.#startLsn, ...(since && { since }) });
      this.#list({ path: entry.path, size: read.size, mode, mtime, ...(since && { pages: read.copied }) });
    });
  }

  /** Read until it is the same twice: it may be written at any time, and is not replayed. */
  async #control(): Promise<void> {
    const path = "global/pg_control";
    const found = await this.#opened(path, async (file, { size, mode, mtime }) => {
      const read = async () => (await file.read(Buffer.alloc(size), 0, size, 0)).buffer;
      let content = await read();
      for (let again = await read(); !again.equals(content); again = await read()) content = again;
      await this.#sink.write(content);
      this.#list({ path, size, mode, mtime });
      return true;
    });
    if (!found) throw new AppError("instanceFault", "The data directory has no pg_control.", { reason: "engine.damaged", final: true });
  }

  async #text(path: string, text: string): Promise<void> {
    const content = Buffer.from(text);
    await this.#sink.write(content);
    this.#list({ path, size: content.length, mode: 0o600, mtime: Math.floor(this.#clock.now().getTime() / 1000) });
  }

  async #finishedWal(): Promise<void> {
    const now = this.#clock.now().getTime();
    if (now - this.#wal.lookedAt < walEveryMs) return;
    this.#wal.lookedAt = now;
    const number = segmentOf(await insertedLsn(this.#sql));
    if (number === this.#wal.number) return;
    await this.#walBefore(number);
    const lsn = number * SEGMENT_BYTES;
    await this.#sql`select pg_replication_slot_advance(${this.#slot}, ${`${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`}::pg_lsn)`;
  }

  /** Copies segments up to this one, which is not copied. */
  async #walBefore(end: bigint): Promise<void> {
    for (; this.#wal.number < end; this.#wal.number++) {
      const name = segmentName(this.#wal.timeline, this.#wal.number);
      const path = `pg_wal/${name}`;
      const copied = await this.#opened(path, async (file, { size, mode, mtime }) => {
        this.#list({ path, size: await this.#copier.bytes(file, size), mode, mtime });
        return true;
      });
      if (copied) continue;
      throw new AppError("serviceUnavailable", `WAL segment ${name} was removed before it was copied: the backup took too long for what was written meanwhile.`, { reason: "backup.wal", next: "Try again when less is written, or with a larger volume." });
    }
  }

  #list(file: { path: string; size: number; mode: number; mtime: number; pages?: [number, number][] }): void {
    this.#sink.file(file);
    this.#dataBytes += file.size;
  }

  /** Undefined for a file that is gone: the replay removes it, too. No link of the server's is followed. */
  async #opened<T>(path: string, work: (file: FileHandle, stat: { size: number; mode: number; mtime: number }) => Promise<T>): Promise<T | undefined> {
    let file: FileHandle;
    try {
      file = await open(join(this.#pgdata, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined;
      throw error;
    }
    try {
      const { size, mode, mtimeMs } = await file.stat();
      return await work(file, { size, mode: mode & 0o777, mtime: Math.floor(mtimeMs / 1000) });
    } finally {
      await file.close();
    }
  }
}

function unfit(parent: NonNullable<BackupOrder["parent"]>, now: { systemIdentifier: string; timeline: number }): string | undefined {
  if (parent.systemIdentifier !== now.systemIdentifier) return "The parent is a backup of another server: a full backup was made.";
  if (parent.timeline !== now.timeline) return "The server was restored or promoted since the parent: a full backup was made.";
  return undefined;
}
