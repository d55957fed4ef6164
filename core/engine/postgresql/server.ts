import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#core/clock";
import type { Machine } from "#core/engine/engine";
import { AppError } from "#core/error";
import { log } from "#core/log";
import { spawnServer } from "#core/engine/postgresql/cluster";
import { glance } from "#core/engine/postgresql/files";
import { lastFailure, logSize, trimLog } from "#core/engine/postgresql/log";
import { endOrphans, eventually, isAlive, isReady, isServer, notedPid, serverPid, stopServer } from "#core/engine/postgresql/process";
import type { Layout } from "#core/engine/postgresql/volume";

/** Recovery after a crash may take longer: the server goes on with it, and the next `start` waits on. */
const readyMs = 60_000;
/** A fast stop writes a checkpoint of all the memory there is. */
const stopMs = 60_000;
/** How soon the end of a server that is not our child is seen. */
const watchMs = 250;
/** At a hundred megabytes of statements a second the log is this many seconds longer than it should be. */
const trimEveryMs = 2_000;

/** The server process of one volume: brought up or adopted, watched, ended. */
export class Server {
  readonly #machine: Machine;
  readonly #files: Layout;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  #child: { pid: number; ended: Promise<void> } | undefined;
  readonly #longestLog: () => number;
  #tending = false;

  /** `longestLog`: bytes, asked at every look. */
  constructor(machine: Machine, files: Layout, clock: Clock, longestLog: () => number) {
    this.#longestLog = longestLog;
    this.#machine = machine;
    this.#files = files;
    this.#clock = clock;
  }

  /** Of the postmaster, while one lives. */
  async pid(): Promise<number | undefined> {
    const child = this.#child;
    // Before it has written its pid file only its parent knows it.
    if (child && (await isServer(child.pid, this.#files.pgdata))) return child.pid;
    return serverPid(this.#files.pgdata);
  }

  /** Resolves when the server takes connections; the one that runs already is as good as a new one. */
  async start(): Promise<void> {
    this.#tend();
    const running = await this.pid();
    if (running !== undefined) return this.#ready(running, await logSize(this.#files.log));
    await endOrphans(this.#files.pgdata, this.#clock);
    await this.#forgetPid();
    const offset = await logSize(this.#files.log);
    const { engineDirectory, engineUser } = this.#machine;
    const child = await spawnServer({
      native: engineDirectory,
      directory: this.#files.pgdata,
      logFile: this.#files.log,
      ...(engineUser && { as: engineUser }),
      options: { config_file: this.#files.settings },
    });
    this.#child = child;
    void child.ended.then(() => {
      if (this.#child === child) this.#child = undefined;
    });
    await this.#ready(child.pid, offset);
  }

  async stop(): Promise<void> {
    const pid = await this.pid();
    if (pid === undefined) return;
    // One that is still on its way up must first say so, or there is no pid file to stop it by.
    await eventually(async () => (await serverPid(this.#files.pgdata)) === pid || !(await isServer(pid, this.#files.pgdata)), readyMs, this.#clock);
    await stopServer(this.#files.pgdata, { mode: "fast", timeoutMs: stopMs, clock: this.#clock });
  }

  /** Resolves when the process that runs now has ended; at once when there is none. */
  async exited(): Promise<void> {
    const pid = await this.pid();
    if (pid === undefined) return;
    if (this.#child?.pid === pid) return this.#child.ended;
    while (await isServer(pid, this.#files.pgdata)) {
      // Nobody waits any more; whoever comes next watches for himself.
      if (this.#closing.signal.aborted) return new Promise(() => {});
      await this.#clock.sleep(watchMs, this.#closing.signal);
    }
  }

  /** Whether the last server ended in order, by what it wrote down (`DBState` in pg_control). */
  async endedInOrder(): Promise<boolean> {
    const control = await glance(join(this.#files.pgdata, "global", "pg_control"), 20);
    return control !== undefined && control.length === 20 && [1, 2].includes(control.readInt32LE(16));
  }

  /** Ends the watching; the server goes on. */
  close(): void {
    this.#closing.abort();
  }

  async #ready(pid: number, logOffset: number): Promise<void> {
    const { pgdata } = this.#files;
    let isGone = false;
    const settled = await eventually(
      async () => {
        if (await isReady(pgdata, pid)) return true;
        isGone = !(await isServer(pid, pgdata));
        return isGone;
      },
      readyMs,
      this.#clock,
    );
    if (isGone) {
      const why = await lastFailure(this.#files.log, logOffset);
      throw new AppError("serviceUnavailable", `PostgreSQL did not start: ${why}`, { reason: "engine.start" });
    }
    if (!settled) {
      throw new AppError("serviceUnavailable", "PostgreSQL does not take connections yet.", { reason: "engine.starting", next: "A recovery after a crash may take long; it goes on." });
    }
  }

  /**
   * Takes away the pid file of a dead server where its number now belongs to another process, as
   * PostgreSQL would take that for the server and refuse. That no process of the old one is left
   * it checks by its shared memory as well.
   */
  async #forgetPid(): Promise<void> {
    const pid = await notedPid(this.#files.pgdata);
    if (pid === undefined || !isAlive(pid)) return;
    log.warn("removed the pid file of a dead server", { pid });
    await rm(join(this.#files.pgdata, "postmaster.pid"), { force: true });
  }

  #tend(): void {
    if (this.#tending) return;
    this.#tending = true;
    void this.#trimming();
  }

  async #trimming(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await this.#clock.sleep(trimEveryMs, signal);
      await trimLog(this.#files.log, this.#longestLog()).catch((error: unknown) => log.warn("the server's log could not be trimmed", { error: String(error) }));
    }
  }
}
