import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { systemClock, type Clock } from "#core/clock";
import type { Engine, LogFile } from "#core/engine/engine";
import { AppError, describe } from "#core/error";
import { Archiver } from "#core/guest/agent/archiver";
import { bounded } from "#core/guest/agent/bounded";
import { JsonFile } from "#core/guest/agent/file";
import { Certificates } from "#core/guest/agent/certificates";
import { Grants } from "#core/guest/agent/grants";
import { Guard } from "#core/guest/agent/guard";
import { Journal } from "#core/guest/agent/journal";
import { Keys } from "#core/guest/agent/keys";
import { Link } from "#core/guest/agent/link";
import { Logs, LogsFile, type LogsKept } from "#core/guest/agent/logs";
import { lock } from "#core/lock";
import { SettingsFile, type Kept } from "#core/guest/agent/machine";
import { Monitor } from "#core/guest/agent/monitor";
import { Runner } from "#core/guest/agent/runner";
import { Sequence } from "#core/guest/agent/sequence";
import { Supervisor } from "#core/guest/agent/supervisor";
import { Sync } from "#core/guest/agent/sync";
import { Transfers } from "#core/guest/agent/transfers";
import { Window, WindowFile, type Kept as WindowKept } from "#core/guest/agent/window";
import type { Boot } from "#core/guest/protocol";
import { systemRandom, type Random } from "#core/id";
import { log } from "#core/log";

export interface AgentOptions {
  boot: Boot;
  stateDirectory: string;
  engine: Engine;
  /** The agent's own version, for its reports. */
  version: string;
  /** The agent's own log, where it is a file. */
  logFile?: string;
  clock?: Clock;
  random?: Random;
}

type Opened = AgentOptions & Required<Pick<AgentOptions, "clock" | "random">>;

/** An adopted server answers within this; a slower start is reported as it goes. */
const beginPatienceMs = 3_000;
/** A job may end before the agent leaves; after this the next agent does it again. */
const leavePatienceMs = 10_000;
const farewellMs = 1_000;
const settlePatienceMs = 2_000;

/**
 * The guest agent: serves one engine and talks to one control plane. Its parts: `Sync` (the
 * conversation), `Runner` (jobs, from the `Journal`), `Supervisor` (keeps the engine up), `Guard`
 * (keeps the volume from filling) and `Monitor` (what there is to tell).
 */
export class Agent {
  readonly #unlock: () => Promise<void>;
  readonly #engine: Engine;
  readonly #link: Link;
  readonly #supervisor: Supervisor;
  readonly #transfers = new Transfers();
  readonly #archiver: Archiver;
  readonly #monitor: Monitor;
  readonly #runner: Runner;
  readonly #sync: Sync;
  readonly #clock: Clock;
  readonly #ending = new AbortController();
  #running: Promise<"refused" | "stopped"> | undefined;

  private constructor(options: Opened, unlock: () => Promise<void>, keys: Keys, sequence: Sequence, journal: Journal, settings: JsonFile<Kept | null>, noted: JsonFile<LogsKept>, archived: JsonFile<WindowKept | null>, certificates: Certificates) {
    const { boot, engine, clock, random, version, logFile } = options;
    const changed = () => this.#sync.changed();
    this.#unlock = unlock;
    this.#engine = engine;
    this.#clock = clock;
    this.#link = new Link(boot, keys, sequence, clock);
    this.#supervisor = new Supervisor(engine, settings, certificates, clock, random, changed);
    const own: LogFile[] = logFile === undefined ? [] : [{ name: "guest", type: "SYS", path: logFile, previous: `${logFile}.1` }];
    const logs = new Logs({ files: () => [...engine.logs(), ...own], enabled: () => settings.value?.logs ?? [], noted, link: this.#link, clock, signal: this.#ending.signal });
    const grants = new Grants({ boot, link: this.#link, keys, clock, signal: this.#ending.signal, urge: changed });
    this.#archiver = new Archiver({ engine, supervisor: this.#supervisor, grants, settings, window: new Window(archived.value), file: archived, clock });
    this.#monitor = new Monitor({ engine, supervisor: this.#supervisor, guard: new Guard(engine, this.#supervisor, clock, changed), logs, transfers: this.#transfers, archiver: this.#archiver, own: { keys, certificates, settings }, clock, version, changed });
    const host = { engine, grants, transfers: this.#transfers, archiver: this.#archiver, clock, logs, supervisor: this.#supervisor, settings, certificates, keys, boot, version };
    this.#runner = new Runner(journal, host, clock, () => this.#monitor.look(), changed);
    this.#sync = new Sync({ boot, keys, link: this.#link, journal, runner: this.#runner, monitor: this.#monitor, supervisor: this.#supervisor, clock, random });
  }

  /** Takes the state directory (AppError `locked` if another agent has it) and reads, or makes, what is kept there. */
  static async open(given: AgentOptions): Promise<Agent> {
    const options = { clock: systemClock, random: systemRandom, ...given };
    const { boot, stateDirectory, clock } = options;
    const path = (name: string) => join(stateDirectory, name);
    await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
    const unlock = await lock(stateDirectory, "agent");
    const keys = await Keys.open(path("keys.json"), boot.generation, clock);
    const sequence = await Sequence.open(path("sequence.json"), clock);
    const journal = await Journal.open(path("journal.json"), boot.generation);
    const settings = await JsonFile.open<Kept | null>(path("settings.json"), SettingsFile, null);
    const noted = await JsonFile.open<LogsKept>(path("logs.json"), LogsFile, {});
    const archived = await JsonFile.open<WindowKept | null>(path("archive.json"), WindowFile, null);
    const certificates = await Certificates.open(path("tls.json"), boot, keys);
    return new Agent(options, unlock, keys, sequence, journal, settings, noted, archived, certificates);
  }

  /** Works until stopped ("stopped") or until the control plane wants no more of it ("refused"). */
  run(): Promise<"refused" | "stopped"> {
    this.#running ??= this.#work();
    return this.#running;
  }

  /** Stops the engine, in order, and the agent. Rejects when the engine does not stop. */
  async stop(): Promise<void> {
    this.#ending.abort();
    this.#giveUp();
    const idle = this.#runner.stop(0);
    await this.#supervisor.stop();
    await idle;
    await this.#settle();
    await this.#sync.farewell(farewellMs).catch((error: unknown) => log.warn("the stop could not be reported", { error: describe(error) }));
    await this.#close();
  }

  /** Ends the agent and leaves the engine running, for the next agent to adopt. */
  async leave(): Promise<void> {
    this.#ending.abort();
    this.#giveUp();
    await this.#runner.stop(leavePatienceMs);
    this.#supervisor.leave();
    await this.#settle();
    await this.#close();
  }

  async #work(): Promise<"refused" | "stopped"> {
    const begun = this.#supervisor.begin().catch((error: unknown) => log.error("the volume cannot be read", { error: describe(error) }));
    await bounded(this.#clock, beginPatienceMs, begun);
    const watching = Promise.all([this.#monitor.run(this.#ending.signal), this.#archiver.run(this.#ending.signal)]);
    const outcome = await this.#sync.run();
    this.#ending.abort();
    await watching;
    return outcome;
  }

  /** A transfer is begun anew by the next agent. */
  #giveUp(): void {
    this.#sync.stop();
    this.#runner.close();
    this.#transfers.abort(new AppError("serviceUnavailable", "The agent is stopping", { reason: "agent.stopping" }));
  }

  /** An engine call that hangs does not hold up the end. */
  async #settle(): Promise<void> {
    if (this.#running) await bounded(this.#clock, settlePatienceMs, this.#running);
  }

  async #close(): Promise<void> {
    this.#link.close();
    await this.#engine.close();
    await this.#unlock();
  }
}
