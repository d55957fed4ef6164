import type { Clock } from "#core/clock";
import type { Engine } from "#core/engine/engine";
import { AppError, describe } from "#core/error";
import { Backoff } from "#core/guest/agent/backoff";
import { bounded } from "#core/guest/agent/bounded";
import type { Certificates } from "#core/guest/agent/certificates";
import type { JsonFile } from "#core/guest/agent/file";
import type { Kept } from "#core/guest/agent/machine";
import { rise } from "#core/guest/agent/rise";
import type { Report } from "#core/guest/protocol";
import type { Random } from "#core/id";
import { log } from "#core/log";

export type ServiceStatus = Report["serviceStatus"];

/** A server that stayed up this long has recovered: the next crash is a new one. */
const recoveredAfterMs = 60_000;
/** An operation on the server that takes longer than this does not hold up a stop. */
const stopPatienceMs = 5_000;
const healthTimeoutMs = 10_000;

/**
 * Keeps the engine as it should be: up, once it has settings. Starts and stops are made one
 * at a time; an end of the server that nobody here asked for is a crash, and the server is
 * brought up again.
 */
export class Supervisor {
  readonly #engine: Engine;
  readonly #settings: JsonFile<Kept | null>;
  readonly #certificates: Certificates;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #changed: () => void;
  readonly #ending = new AbortController();
  #status: ServiceStatus;
  #lane: Promise<unknown> = Promise.resolve();
  /** Rises whenever the server is touched or found dead: what was known of an earlier one is void. */
  #epoch = 0;
  #upSince = 0;
  #crashes = 0;
  #waiting: (() => void)[] = [];

  /** `changed` is called when the status is another. Settings on disk are the wish that the server runs. */
  constructor(engine: Engine, settings: JsonFile<Kept | null>, certificates: Certificates, clock: Clock, random: Random, changed: () => void) {
    this.#engine = engine;
    this.#settings = settings;
    this.#certificates = certificates;
    this.#clock = clock;
    this.#backoff = new Backoff(100, 30_000, random);
    this.#changed = changed;
    this.#status = settings.value ? "shutdown" : "building";
  }

  get status(): ServiceStatus {
    return this.#status;
  }

  /** How often the server was found dead. */
  get crashes(): number {
    return this.#crashes;
  }

  /** Brings up, or adopts, the server of an earlier agent; nothing where there is none yet. Its failure is retried in the background. */
  async begin(): Promise<void> {
    const settings = this.#settings.value;
    if (!settings || settings.stopped || !(await this.#engine.initialised())) return;
    await this.bring(async () => {
      await this.#start(settings);
      await this.#present();
    }).catch((error: unknown) => log.error("the engine did not start", { error: describe(error) }));
  }

  /** Runs `up`, which leaves the server running, with nothing else touching it; watches the server from then on. */
  bring(up: () => Promise<void>): Promise<void> {
    return this.#alone(async () => {
      const epoch = ++this.#epoch;
      this.#backoff.reset();
      try {
        await up();
      } catch (error) {
        if (!this.#settings.value) this.#set("failed");
        else void this.#recover(epoch);
        throw error;
      }
      this.#up(epoch);
    });
  }

  /** Takes the server down in order; it stays down until it is brought up. */
  halt(): Promise<void> {
    return this.#alone(async () => {
      // What watched the server is void: this end is no crash.
      const epoch = ++this.#epoch;
      try {
        await this.#engine.stop();
      } catch (error) {
        void this.#recover(epoch);
        throw error;
      }
      this.#set("shutdown");
    });
  }

  /** Puts a new certificate in force where there is a server to use it; the first start does it otherwise. */
  async certify(): Promise<void> {
    await this.#alone(async () => {
      if (await this.#engine.initialised()) await this.#present();
    });
  }

  /** Resolves when the server takes connections; throws AppError after `ms`, or at once where none was set up. */
  async available(ms: number): Promise<void> {
    if (!this.#settings.value) throw new AppError("conflict", "The database server has not been set up", { reason: "engine.absent" });
    if (this.#status === "healthy") return;
    const came = await bounded(this.#clock, ms, new Promise<void>((resolve) => this.#waiting.push(resolve)));
    if (!came) throw new AppError("serviceUnavailable", "The database server is not running", { reason: "engine.down", next: "Try again when the instance is healthy." });
  }

  /** Asks the engine how it is. Notices an end that the engine's own watch has missed. */
  async check(): Promise<void> {
    const epoch = this.#epoch;
    if (this.#status !== "healthy" && this.#status !== "running") return;
    const asked = this.#engine.health().catch((error: unknown) => {
      log.warn("the engine does not say how it is", { error: describe(error) });
      return "running" as const;
    });
    const answer = await bounded(this.#clock, healthTimeoutMs, asked);
    if (epoch !== this.#epoch) return;
    // No answer from a process that has not ended: it lives, but does not serve.
    const health = answer?.value ?? "running";
    if (health === "crashed" || health === "shutdown") this.#died(epoch);
    else this.#set(health);
  }

  /** Orderly end of the server, and of the supervision. */
  async stop(): Promise<void> {
    this.leave();
    await bounded(this.#clock, stopPatienceMs, this.#lane);
    await this.#engine.stop();
    this.#set("shutdown");
  }

  /** Ends the supervision; the server goes on. */
  leave(): void {
    this.#epoch++;
    this.#ending.abort();
  }

  /** What a start had to leave out is in the log; the next restart that is asked for tells it to the user. */
  async #start(settings: Kept): Promise<void> {
    await rise({ engine: this.#engine, settings: this.#settings }, "start", settings);
  }

  /** A change of mode that a crash cut in two is made whole: the chosen certificate says which mode it is. */
  async #present(): Promise<void> {
    const settings = this.#settings.value;
    const tls = this.#certificates.chosen(this.#certificates.present);
    if (!tls || !settings) return;
    const wanted = { ...settings, tlsMode: tls.mode };
    if (settings.tlsMode !== tls.mode) await this.#settings.update(wanted);
    await this.#engine.applyTls(wanted, tls.bundle);
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#lane.then(() => {
      if (this.#ending.signal.aborted) throw new AppError("serviceUnavailable", "The agent is stopping", { reason: "agent.stopping" });
      return work();
    });
    // The failure is the caller's; the lane only keeps the order.
    this.#lane = result.catch(() => {});
    return result;
  }

  #up(epoch: number): void {
    // The agent is stopping; what it started is stopped, or left, by that.
    if (epoch !== this.#epoch) return;
    this.#upSince = this.#clock.now().getTime();
    this.#set("healthy");
    this.#engine.exited().then(
      () => this.#died(epoch),
      (error: unknown) => {
        log.error("the engine cannot be watched", { error: describe(error) });
        this.#died(epoch);
      },
    );
  }

  #died(epoch: number): void {
    if (epoch !== this.#epoch) return;
    this.#crashes++;
    log.error("the engine ended unexpectedly", { crashes: this.#crashes });
    if (this.#clock.now().getTime() - this.#upSince >= recoveredAfterMs) this.#backoff.reset();
    void this.#recover(++this.#epoch);
  }

  /** Starts the server until it runs, or until somebody else takes it in hand. */
  async #recover(epoch: number): Promise<void> {
    if (epoch === this.#epoch) this.#set("crashed");
    while (epoch === this.#epoch) {
      await this.#clock.sleep(this.#backoff.next(), this.#ending.signal);
      try {
        await this.#alone(async () => {
          const settings = this.#settings.value;
          if (epoch !== this.#epoch || !settings) return;
          await this.#start(settings);
          log.info("the engine is back");
          this.#up(epoch);
        });
        return;
      } catch (error) {
        if (epoch === this.#epoch) log.error("the engine did not start", { error: describe(error) });
      }
    }
  }

  #set(status: ServiceStatus): void {
    if (status === this.#status) return;
    log.info("service status changed", { from: this.#status, to: status });
    this.#status = status;
    if (status === "healthy") for (const resolve of this.#waiting.splice(0)) resolve();
    this.#changed();
  }
}
