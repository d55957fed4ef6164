import type { FileHandle } from "node:fs/promises";
import type { Clock } from "#core/clock";
import { AppError } from "#core/error";
import { PAGE_BYTES, Pages, SEGMENT_PAGES } from "#core/engine/postgresql/backup/pages";
import type { Sink } from "#core/engine/physical";

const pieceBytes = 1024 * 1024;
/** A page that is being written while it is read is whole again soon. */
const tries = 6;
/** Where WAL begins: what is below was not given by it (index builds, unlogged relations), and tells nothing. */
const firstLsn = 16n * 1024n * 1024n;
/** The exception: what initdb wrote, and nobody since. */
const bootstrapLsn = 40n;

export interface PagesOf {
  path: string;
  segment: number;
  /** As the backup began: what changed since is whole after the replay, however it was read. */
  startLsn: bigint;
  /** For an increment: pages changed since then, and all beyond these. */
  since?: { lsn: bigint; pages: number };
}

/** Reusable memory of one backup. */
export class Copier {
  readonly #buffer = Buffer.allocUnsafeSlow(pieceBytes);
  readonly #pages = new Pages(this.#buffer);
  readonly #sink: Sink;
  readonly #clock: Clock;

  constructor(sink: Sink, clock: Clock) {
    this.#sink = sink;
    this.#clock = clock;
  }

  /** Copies the first `size` bytes, or what there is of them; the number of bytes. */
  async bytes(file: FileHandle, size: number): Promise<number> {
    let at = 0;
    while (at < size) {
      const { bytesRead } = await file.read(this.#buffer, 0, Math.min(pieceBytes, size - at), at);
      if (bytesRead === 0) break;
      await this.#sink.write(this.#buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    return at;
  }

  /**
   * Copies pages, each checked. Answers the size of the file as far as it was read, and for an increment the pages that were copied.
   * AppError `backup.page` for a page that stays wrong.
   */
  async pages(file: FileHandle, size: number, order: PagesOf): Promise<{ size: number; copied: [number, number][] }> {
    const end = size - (size % PAGE_BYTES);
    const copied: [number, number][] = [];
    let at = 0;
    while (at < end) {
      const { bytesRead } = await file.read(this.#buffer, 0, Math.min(pieceBytes, end - at), at);
      const count = Math.floor(bytesRead / PAGE_BYTES);
      // Cut meanwhile: the replay knows.
      if (count === 0) break;
      await this.#piece(file, at / PAGE_BYTES, count, order, copied);
      at += count * PAGE_BYTES;
    }
    return { size: at, copied };
  }

  async #piece(file: FileHandle, first: number, count: number, order: PagesOf, copied: [number, number][]): Promise<void> {
    let from = 0;
    const flush = async (to: number) => {
      if (to > from) await this.#sink.write(this.#buffer.subarray(from * PAGE_BYTES, to * PAGE_BYTES));
    };
    for (let at = 0; at < count; at++) {
      if (!this.#pages.isNew(at) && !this.#pages.isSound(at, order.segment * SEGMENT_PAGES + first + at)) await this.#again(file, at, first + at, order);
      if (!order.since || this.#isChanged(at, first + at, order.since)) {
        const last = copied.at(-1);
        if (last && last[0] + last[1] === first + at) last[1]++;
        else copied.push([first + at, 1]);
        continue;
      }
      await flush(at);
      from = at + 1;
    }
    await flush(count);
  }

  #isChanged(at: number, page: number, { lsn, pages }: { lsn: bigint; pages: number }): boolean {
    if (page >= pages || this.#pages.isNew(at)) return true;
    const own = this.#pages.lsn(at);
    return own >= lsn || (own < firstLsn && own !== bootstrapLsn);
  }

  async #again(file: FileHandle, at: number, page: number, { path, segment, startLsn }: PagesOf): Promise<void> {
    const block = segment * SEGMENT_PAGES + page;
    for (let left = tries; left > 0; left--) {
      await this.#clock.sleep(2 * (tries - left));
      const { bytesRead } = await file.read(this.#buffer, at * PAGE_BYTES, PAGE_BYTES, page * PAGE_BYTES);
      // Cut away meanwhile: what was read is as good as anything.
      if (bytesRead < PAGE_BYTES) this.#buffer.fill(0, at * PAGE_BYTES, (at + 1) * PAGE_BYTES);
      if (this.#pages.isNew(at) || this.#pages.isSound(at, block)) return;
    }
    if (this.#pages.lsn(at) >= startLsn) return;
    throw new AppError("instanceFault", `The data is damaged: block ${block} of ${path} does not have its checksum.`, { reason: "backup.page", next: "Restore the instance from an earlier backup.", final: true });
  }
}
