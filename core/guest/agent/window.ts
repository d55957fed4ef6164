import * as z from "zod";
import type { Position } from "#core/engine/physical";
import { Archive } from "#core/guest/protocol";

const Lsn = z.string().regex(/^\d+$/);

/** `archive.json` in the state directory; positions are bytes from the beginning of all log, in decimal. */
export const WindowFile = z
  .object({
    ...Archive.pick({ systemIdentifier: true, timeline: true, earliest: true, latest: true, gaps: true }).shape,
    /** What is stored without a gap: from here to there. */
    from: Lsn.optional(),
    through: Lsn.optional(),
    /** The number of the next transaction at `latest`, where none was open then. */
    quiet: z.string().optional(),
    /** Where the last gap begins, while it is not known where it ends. */
    gapFrom: z.iso.datetime().optional(),
  })
  .nullable();
export type Kept = NonNullable<z.infer<typeof WindowFile>>;

/** As many looks as are kept for a log that is archived late; older ones are thinned. */
const most = 400;
const mostGaps = 100;

/** Which seconds can be reached with what is archived: what was seen of the server's clock and log, against what is stored. */
export class Window {
  #kept: Kept | undefined;
  #seen: Position[] = [];

  constructor(kept: Kept | null) {
    this.#kept = kept ?? undefined;
  }

  /** To be written down. */
  get kept(): Kept | undefined {
    return this.#kept;
  }

  /** When the server was last looked at. */
  get lastSeen(): string | undefined {
    return this.#seen.at(-1)?.at;
  }

  /** What the server says now. Another server, or another timeline, begins anew. */
  observe(position: Position): void {
    const { systemIdentifier, timeline } = position;
    if (this.#kept?.systemIdentifier !== systemIdentifier || this.#kept.timeline !== timeline) {
      this.#kept = { systemIdentifier, timeline, gaps: [] };
      this.#seen = [];
    }
    this.#seen.push(position);
    if (this.#seen.length > most) this.#seen = this.#seen.filter((_, at) => at % 2 === 0 || at > most / 2);
    this.#settle();
  }

  /** A stretch of log is stored. */
  stored({ timeline, from, to }: { timeline: number; from: bigint; to: bigint }): void {
    const kept = this.#kept;
    if (!kept || kept.timeline !== timeline) return;
    const through = kept.through === undefined ? undefined : BigInt(kept.through);
    if (through !== undefined && from < through) return;
    if (through === undefined || from > through) {
      // Whoever knows of no end before does not know of a beginning.
      const gapFrom = kept.gapFrom ?? kept.latest ?? kept.earliest;
      const { systemIdentifier, gaps } = kept;
      this.#kept = { systemIdentifier, timeline, gaps, from: String(from), ...(through !== undefined && gapFrom !== undefined && { gapFrom }) };
    }
    this.#kept = { ...(this.#kept ?? kept), through: String(to) };
    this.#settle();
  }

  #settle(): void {
    const kept = this.#kept;
    if (kept?.from === undefined || kept.through === undefined) return;
    const [from, through] = [BigInt(kept.from), BigInt(kept.through)];
    if (kept.earliest === undefined) {
      const first = this.#seen.find(({ lsn }) => lsn >= from);
      if (!first) return;
      kept.earliest = first.at;
      if (kept.gapFrom !== undefined) kept.gaps = [...kept.gaps, { from: kept.gapFrom, to: first.at }].slice(-mostGaps);
      delete kept.gapFrom;
    }
    const reached = this.#seen.findLastIndex(({ lsn }) => lsn >= from && lsn <= through);
    const last = this.#seen[reached];
    if (last) {
      // It never moves back: a quiet time may have moved it further than this look.
      if (kept.latest === undefined || last.at > kept.latest) kept.latest = last.at;
      if (last.quiet === undefined) delete kept.quiet;
      else kept.quiet = last.quiet;
      this.#seen = this.#seen.slice(reached);
    }
    // Nobody has begun a transaction since: nothing was committed, whatever the server wrote for itself.
    const now = this.#seen.at(-1);
    if (now?.quiet !== undefined && now.quiet === kept.quiet) kept.latest = now.at;
  }
}
