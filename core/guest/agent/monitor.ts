import { createHash } from "node:crypto";
import type { Clock } from "#core/clock";
import type { Engine, Writes } from "#core/engine/engine";
import { describe } from "#core/error";
import type { Archiver } from "#core/guest/agent/archiver";
import { bounded } from "#core/guest/agent/bounded";
import type { Certificates } from "#core/guest/agent/certificates";
import type { Guard } from "#core/guest/agent/guard";
import type { JsonFile } from "#core/guest/agent/file";
import type { Keys } from "#core/guest/agent/keys";
import type { Kept } from "#core/guest/agent/machine";
import type { ServiceStatus, Supervisor } from "#core/guest/agent/supervisor";
import type { Logs } from "#core/guest/agent/logs";
import type { Transfers } from "#core/guest/agent/transfers";
import type { GuestLog, Inventory, Position, Report } from "#core/guest/protocol";
import { log } from "#core/log";

const healthEveryMs = 10_000;
/** A replica that loses its source tells so at once. */
const positionEveryMs = 2_000;
const inventoryEveryMs = 60_000;
/** An answer that comes later than this is not waited for. */
const answerMs = 20_000;

const digest = (inventory: Inventory) => createHash("sha256").update(JSON.stringify(inventory)).digest("hex");

/** What is worth a report of its own: that something is pending, but not how much. */
const outline = (logs: readonly GuestLog[] = []) => JSON.stringify(logs.map(({ pending, ...rest }) => ({ ...rest, some: pending > 0 })));

/** The same of where it stands: not the locations, which never stand still. */
const bearing = (position: Position | undefined) => position && `${position.role} ${position.streaming} ${position.stalled}`;

/** What the agent has to tell of itself. */
interface Own {
  keys: Pick<Keys, "sealingKey">;
  certificates: Pick<Certificates, "certificate">;
  settings: Pick<JsonFile<Kept | null>, "value">;
}

interface Parts {
  engine: Engine;
  supervisor: Supervisor;
  guard: Guard;
  logs: Logs;
  transfers: Pick<Transfers, "progress">;
  archiver: Pick<Archiver, "state">;
  own: Own;
  clock: Clock;
  version: string;
  changed: () => void;
}

/** Looks at the engine from time to time and knows what the server has not been told yet. */
export class Monitor {
  readonly #engine: Engine;
  readonly #supervisor: Supervisor;
  readonly #guard: Guard;
  readonly #logs: Logs;
  readonly #transfers: Parts["transfers"];
  readonly #archiver: Parts["archiver"];
  readonly #own: Own;
  readonly #clock: Clock;
  readonly #version: string;
  readonly #changed: () => void;
  #inventory: { value: Inventory; hash: string } | undefined;
  #toldHash: string | undefined;
  /** Undefined = not looked yet. */
  #survey: GuestLog[] | undefined;
  #toldLogs = "[]";
  /** Of one that follows or is followed. */
  #position: Position | undefined;
  #toldBearing: string | undefined;
  #toldStatus: ServiceStatus | undefined;
  #toldCrashes = 0;
  #toldWrites: Writes = "open";

  constructor({ engine, supervisor, guard, logs, transfers, archiver, own, clock, version, changed }: Parts) {
    this.#engine = engine;
    this.#supervisor = supervisor;
    this.#guard = guard;
    this.#logs = logs;
    this.#transfers = transfers;
    this.#archiver = archiver;
    this.#own = own;
    this.#clock = clock;
    this.#version = version;
    this.#changed = changed;
  }

  /** Ends with the signal. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#every(healthEveryMs, signal, async () => {
        await this.#supervisor.check();
        await this.#lookAtLogs();
        if (outline(this.#survey) !== this.#toldLogs) this.#changed();
      }),
      this.#guard.run(signal),
      this.#every(positionEveryMs, signal, async () => {
        await this.#lookAtPosition();
        if (bearing(this.#position) !== this.#toldBearing) this.#changed();
      }),
      this.#every(inventoryEveryMs, signal, async () => {
        await this.look();
        if (this.untold) this.#changed();
      }),
    ]);
  }

  /** Takes stock of what the engine holds; a server that is down holds what it held. Wakes nobody. */
  async look(): Promise<void> {
    await this.#lookAtLogs();
    await this.#lookAtPosition();
    if (this.#supervisor.status !== "healthy") return;
    try {
      const answer = await bounded(this.#clock, answerMs, this.#engine.inventory());
      const { certificate } = this.#own.certificates;
      const value = answer && { ...answer.value, ...(certificate !== undefined && { certificate }) };
      if (value) this.#inventory = { value, hash: digest(value) };
      else log.warn("the inventory takes too long");
    } catch (error) {
      log.warn("the inventory could not be taken", { error: describe(error) });
    }
  }

  async #lookAtPosition(): Promise<void> {
    const { standby, members = [] } = this.#own.settings.value ?? {};
    const { replication } = this.#engine;
    if (!replication || (!standby && members.length === 0)) {
      this.#position = undefined;
      return;
    }
    if (this.#supervisor.status !== "healthy") return;
    try {
      this.#position = (await bounded(this.#clock, answerMs, replication.position()))?.value ?? this.#position;
    } catch (error) {
      log.warn("the server does not say where it stands", { error: describe(error) });
    }
  }

  async #lookAtLogs(): Promise<void> {
    try {
      this.#survey = await this.#logs.survey();
    } catch (error) {
      log.warn("the logs could not be looked at", { error: describe(error) });
    }
  }

  /** A crash is reported even if the server is back before the report leaves. */
  report(): Report {
    const { usage, writes } = this.#guard;
    const { progress } = this.#transfers;
    const { state: archive } = this.#archiver;
    const news = this.#inventory && this.#inventory.hash !== this.#toldHash;
    return {
      serviceStatus: this.#supervisor.crashes > this.#toldCrashes ? "crashed" : this.#supervisor.status,
      agentVersion: this.#version,
      engineVersion: this.#engine.version,
      ...(usage && { volumeUsedBytes: usage.usedBytes, volumeTotalBytes: usage.totalBytes }),
      writes,
      ...(this.#survey && { logs: this.#survey }),
      sealingKey: this.#own.keys.sealingKey,
      ...(this.#position && { replication: this.#position }),
      ...(progress && { progress }),
      ...(archive && { archive }),
      ...(news && { inventory: this.#inventory?.value }),
    };
  }

  /** The server has this report. `crashes` as it was when the report was made. */
  delivered(report: Report, crashes: number): void {
    this.#toldStatus = report.serviceStatus;
    this.#toldCrashes = crashes;
    this.#toldWrites = report.writes ?? "open";
    this.#toldLogs = outline(report.logs);
    this.#toldBearing = bearing(report.replication);
    if (report.inventory) this.#toldHash = digest(report.inventory);
  }

  /** True while the server has not heard of the present state. */
  get untold(): boolean {
    const { status, crashes } = this.#supervisor;
    return status !== this.#toldStatus || crashes > this.#toldCrashes || this.#guard.writes !== this.#toldWrites || this.#inventory?.hash !== this.#toldHash || outline(this.#survey) !== this.#toldLogs || bearing(this.#position) !== this.#toldBearing;
  }

  async #every(ms: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      await work();
      await this.#clock.sleep(ms, signal);
    }
  }
}
