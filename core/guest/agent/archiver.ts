import type { Archive } from "#core/guest/protocol";
import { sealed } from "#core/archive/object";
import type { Clock } from "#core/clock";
import type { Engine } from "#core/engine/engine";
import type { Physical, Piece } from "#core/engine/physical";
import { AppError, describe } from "#core/error";
import type { JsonFile } from "#core/guest/agent/file";
import type { GrantedPlace, Grants } from "#core/guest/agent/grants";
import type { Kept as Settings } from "#core/guest/agent/machine";
import type { Supervisor } from "#core/guest/agent/supervisor";
import type { Kept, Window } from "#core/guest/agent/window";
import { log } from "#core/log";

const lookEveryMs = 2_000;
/** How late the reachable window may be noticed to have moved. */
const observeEveryMs = 10_000;
/**
 * When the window has not moved for so long, a piece is ended on purpose: what an idle server writes for itself ends none, but
 * lies behind the last commit. Longer than `archive_timeout` and all that follows takes.
 */
const turnAfterMs = 80_000;
/** The window as those who restore find it, beside the log. */
const tellEveryMs = 30_000;
/** A control plane that archives nothing is asked again after this. */
const offerEveryMs = 60_000;
/** An object that is not taken is tried again in the next round, and the next. */
const longestPauseMs = 30_000;

interface Parts {
  engine: Engine;
  supervisor: Pick<Supervisor, "status">;
  grants: Grants;
  settings: Pick<JsonFile<Settings | null>, "value">;
  window: Window;
  file: JsonFile<Kept | null>;
  clock: Clock;
}

/** What pieces are called in the store, below the instance's prefix. */
export const pieceName = (systemIdentifier: string, name: string) => `${systemIdentifier}/${name.slice(0, 8)}/${name}`;
export const windowName = (systemIdentifier: string) => `${systemIdentifier}/window`;

/**
 * Brings the engine's log to the object store, in order, piece by piece, and knows which seconds can be reached with it. What cannot be
 * stored waits on the volume; what finds no room there is a gap, which is told.
 */
export class Archiver {
  readonly #p: Parts;
  #granted: GrantedPlace | undefined;
  #isOffered = true;
  #askNotBefore = 0;
  #observed = 0;
  #moved = { at: 0, latest: "" };
  #told = { at: 0, text: "" };
  #error: string | undefined;
  #pendingBytes = 0;
  #isLosing = false;

  constructor(parts: Parts) {
    this.#p = parts;
  }

  /** Ends with the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { engine, clock } = this.#p;
    if (!engine.physical) return;
    let pauseMs = lookEveryMs;
    while (!signal.aborted) {
      try {
        await this.#round(engine.physical, signal);
        this.#error = undefined;
        pauseMs = lookEveryMs;
      } catch (error) {
        if (signal.aborted) break;
        if (this.#error === undefined) log.warn("the log is not archived", { error: describe(error) });
        this.#error = describe(error).slice(0, 1000);
        pauseMs = Math.min(pauseMs * 2, longestPauseMs);
      }
      await clock.sleep(pauseMs, signal);
    }
    this.#granted?.objects.close();
  }

  /** For reports; undefined while nothing is archived. */
  get state(): Archive | undefined {
    const { kept, lastSeen } = this.#p.window;
    if (!this.#isOffered || !kept) return undefined;
    const { systemIdentifier, timeline, earliest, latest, gaps, gapFrom } = kept;
    const open = gapFrom ?? (this.#isLosing ? (latest ?? earliest) : undefined);
    return {
      systemIdentifier,
      timeline,
      ...(earliest !== undefined && { earliest }),
      ...(latest !== undefined && { latest }),
      gaps: open !== undefined && lastSeen !== undefined && lastSeen > open ? [...gaps.slice(-99), { from: open, to: lastSeen }] : gaps,
      pendingBytes: this.#pendingBytes,
      ...(this.#error !== undefined && { error: this.#error }),
    };
  }

  /** Looks at the server now: what happens from here on is known to lie behind this moment. */
  async look(): Promise<void> {
    const { physical } = this.#p.engine;
    if (!physical) return;
    this.#observed = this.#p.clock.now().getTime();
    this.#p.window.observe(await physical.position());
    await this.#note();
  }

  async #round(physical: Physical, signal: AbortSignal): Promise<void> {
    const pieces = await physical.pieces();
    this.#pendingBytes = pieces.reduce((sum, { bytes }) => sum + bytes, 0);
    if (["building", "failed"].includes(this.#p.supervisor.status)) return;
    // A replica archives nothing: its source does. What it wrote as a source itself may still wait.
    if (!this.#p.settings.value?.standby) await this.#observe(physical);
    const place = await this.#place();
    if (!place) {
      for (const piece of pieces) await physical.release(piece);
      return;
    }
    for (const piece of pieces) {
      signal.throwIfAborted();
      await this.#store(physical, piece, place);
    }
    const isLosing = await physical.lost();
    if (isLosing && !this.#isLosing) log.error("log is lost: the archive is away and the volume has no more room for it");
    this.#isLosing = isLosing;
    await this.#tell(place);
  }

  async #observe(physical: Physical): Promise<void> {
    const now = this.#p.clock.now().getTime();
    if (this.#p.supervisor.status !== "healthy" || now - this.#observed < observeEveryMs) return;
    const { window } = this.#p;
    await this.look();
    const latest = window.kept?.latest ?? "";
    if (latest !== this.#moved.latest || this.#moved.at === 0) this.#moved = { at: now, latest };
    if (now - this.#moved.at < turnAfterMs || this.#pendingBytes > 0 || !this.#granted) return;
    await physical.turn();
    this.#moved.at = now;
  }

  /** Undefined where nothing is archived. */
  async #place(): Promise<GrantedPlace | undefined> {
    const now = this.#p.clock.now().getTime();
    if (this.#granted || now < this.#askNotBefore) return this.#granted;
    try {
      this.#granted = (await this.#p.grants.ask({ archive: true })).get("wal");
      this.#isOffered = this.#granted !== undefined;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "notImplemented") throw error;
      this.#isOffered = false;
    }
    if (!this.#isOffered) this.#askNotBefore = now + offerEveryMs;
    return this.#granted;
  }

  async #store(physical: Physical, piece: Piece, { installation, place, key, objects }: GrantedPlace): Promise<void> {
    const { window } = this.#p;
    const stretch = physical.stretch(piece.name);
    const system = window.kept?.systemIdentifier;
    // Nothing can be stored under the name of a server that is not known yet.
    if (system === undefined) return;
    if (stretch || piece.name.endsWith(".history")) {
      const name = pieceName(system, piece.name);
      await objects.put(name, await sealed(key, { installation, place, name }, physical.content(piece)), 1);
      if (stretch) window.stored(stretch);
      // From here on the window itself knows of the gap.
      if (this.#isLosing && window.kept?.gapFrom !== undefined) await physical.forget();
      await this.#note();
    }
    await physical.release(piece);
    this.#pendingBytes -= piece.bytes;
  }

  async #tell({ installation, place, key, objects }: GrantedPlace): Promise<void> {
    const state = this.state;
    if (!state) return;
    const { systemIdentifier, timeline, earliest, latest, gaps } = state;
    const text = JSON.stringify({ systemIdentifier, timeline, earliest, latest, gaps });
    const now = this.#p.clock.now().getTime();
    if (text === this.#told.text || now - this.#told.at < tellEveryMs) return;
    const name = windowName(systemIdentifier);
    await objects.put(name, await sealed(key, { installation, place, name }, [Buffer.from(text)]), 1);
    this.#told = { at: now, text };
  }

  async #note(): Promise<void> {
    const { window, file } = this.#p;
    if (window.kept) await file.update({ ...window.kept });
  }
}

