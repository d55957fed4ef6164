import * as z from "zod";
import type { Clock } from "#core/clock";
import { AppError, describe } from "#core/error";
import { Backoff } from "#core/guest/agent/backoff";
import { Doorbell } from "#core/guest/agent/doorbell";
import type { Journal } from "#core/guest/agent/journal";
import type { Keys } from "#core/guest/agent/keys";
import type { Link } from "#core/guest/agent/link";
import type { Monitor } from "#core/guest/agent/monitor";
import type { Runner } from "#core/guest/agent/runner";
import type { Supervisor } from "#core/guest/agent/supervisor";
import { EnrolReply, PROTOCOL, SyncReply, type Boot, type CertificateRequest, type EnrolRequest, type RotateRequest, type SyncRequest } from "#core/guest/protocol";
import type { Random } from "#core/id";
import { log } from "#core/log";

/** How long the server may hold a request of an agent with nothing to tell. */
const holdSeconds = 25;
const replyTimeoutMs = 15_000;
/** While a job runs its end is what comes next; a request meanwhile is a sign of life. */
const busyPauseMs = 2_000;
/** Results that the server took without acknowledging them are sent again after this. */
const unheardPauseMs = 1_000;
/** A server that neither holds nor sets a pace is not asked more often than this. */
const leastPauseMs = 250;

/** A job this agent does not understand is its runner's to refuse, not a reason to lose the others; nor is a doorbell. */
const Reply = SyncReply.extend({
  jobs: z.array(z.object({ id: z.uuid(), kind: z.string(), spec: z.record(z.string(), z.unknown()).catch({}) })),
  doorbell: SyncReply.shape.doorbell.catch(undefined),
});

export interface Parts {
  boot: Boot;
  keys: Keys;
  link: Link;
  journal: Journal;
  runner: Runner;
  monitor: Monitor;
  supervisor: Supervisor;
  clock: Clock;
  random: Random;
}

/**
 * The conversation with the control plane: one request at a time, so that numbers arrive in
 * order. A held request is given up as soon as there is something to tell. Where the server has a
 * doorbell the agent asks when it is rung, and seldom otherwise.
 */
export class Sync {
  readonly #p: Parts;
  readonly #ending = new AbortController();
  readonly #backoff: Backoff;
  readonly #rotateBackoff: Backoff;
  readonly #doorbell: Doorbell;
  #rotateAfterSeconds = 0;
  #rotateNotBefore = 0;
  readonly #renewBackoff: Backoff;
  #renewNotBefore = 0;
  /** A renewed certificate that the database server has not been given. */
  #unpresented = false;
  /** Given up when something changes: the held request, or the pause between two. */
  #idle: AbortController | undefined;
  #pausing: AbortController | undefined;
  #unsaid = true;

  constructor(parts: Parts) {
    this.#p = parts;
    this.#backoff = new Backoff(50, 30_000, parts.random);
    this.#rotateBackoff = new Backoff(1_000, 300_000, parts.random);
    // Months are left: a server that cannot issue, or does not know how to, is not asked all the time.
    this.#renewBackoff = new Backoff(60_000, 6 * 3_600_000, parts.random);
    const { link, clock, random, monitor } = parts;
    this.#doorbell = new Doorbell({
      link,
      clock,
      random,
      rung: () => this.changed(),
      lost: () => this.#pausing?.abort(),
      untold: () => monitor.untold,
    });
  }

  /** There is something to tell, or to be told. */
  changed(): void {
    this.#unsaid = true;
    this.#idle?.abort();
    this.#pausing?.abort();
  }

  /** Ends what is under way. */
  stop(): void {
    this.#ending.abort();
    this.#idle?.abort();
    this.#pausing?.abort();
    this.#doorbell.close();
  }

  /** "refused": the server wants no more of this agent, for good. */
  async run(): Promise<"refused" | "stopped"> {
    const { keys, runner, clock } = this.#p;
    if (!keys.tls && !(await this.#enrol())) return this.#ended ? "stopped" : "refused";
    runner.kick();
    let refusals = 0;
    while (!this.#ended) {
      let pauseMs: number;
      try {
        pauseMs = await this.#exchange();
        this.#backoff.reset();
        refusals = 0;
      } catch (error) {
        if (this.#ended || this.#idle?.signal.aborted) continue; // Given up by us.
        if (error instanceof AppError && error.code === "unauthorized") {
          // Each key is tried twice: something on the way may have sent one request twice, and
          // the note of a finished rotation may have been lost together with the reply.
          if (++refusals >= (keys.alternate() ? 4 : 2)) {
            this.#doorbell.close();
            log.error("the control plane refuses this agent for good; the engine is left as it is", { error: describe(error) });
            return "refused";
          }
        }
        log.warn("a sync failed and is tried again", { error: describe(error) });
        await clock.sleep(this.#backoff.next(), this.#ending.signal);
        continue;
      }
      await this.#rotate();
      await this.#renew();
      await this.#pause(pauseMs);
      if (!this.#unsaid) await this.#doorbell.open();
    }
    // A stop may have come between the signature and the handshake.
    this.#doorbell.close();
    return "stopped";
  }

  /** One last report, without waiting for an answer longer than `ms`. */
  async farewell(ms: number): Promise<void> {
    if (!this.#p.keys.tls) return;
    const body = { protocol: PROTOCOL, report: this.#p.monitor.report(), results: this.#p.journal.results(), holdSeconds: 0 } satisfies SyncRequest;
    await this.#p.link.signed({ path: "/sync", body, reply: z.unknown(), timeoutMs: ms, signal: new AbortController().signal });
  }

  get #ended(): boolean {
    return this.#ending.signal.aborted;
  }

  /** True once enrolled; false when refused or stopped. The keys are the same at every attempt. */
  async #enrol(): Promise<boolean> {
    const { boot, keys, link, clock, random, supervisor } = this.#p;
    const backoff = new Backoff(50, 15_000, random);
    const { instanceId, generation, token } = boot;
    const body = { protocol: PROTOCOL, instanceId, generation, token, publicKey: keys.publicKey, tlsPublicKey: keys.tlsPublicKey } satisfies EnrolRequest;
    while (!this.#ended) {
      try {
        await keys.enrolled(await link.plain({ path: "/enrol", body, reply: EnrolReply, timeoutMs: replyTimeoutMs, signal: this.#ending.signal }));
        log.info("enrolled", { generation });
        await supervisor.certify().catch((error: unknown) => log.error("the certificate was not installed", { error: describe(error) }));
        return true;
      } catch (error) {
        if (this.#ended) break;
        if (error instanceof AppError && (error.code === "unauthorized" || error.code === "forbidden")) {
          log.error("enrolment is refused; the engine is left as it is", { error: describe(error) });
          return false;
        }
        log.warn("enrolment failed and is tried again", { error: describe(error) });
        await clock.sleep(backoff.next(), this.#ending.signal);
      }
    }
    return false;
  }

  /** One request and its answer. Returns how long to pause, in milliseconds. */
  async #exchange(): Promise<number> {
    const { journal, monitor, supervisor, runner, link, clock } = this.#p;
    const began = clock.now().getTime();
    const crashes = supervisor.crashes;
    const results = journal.results();
    const held = runner.busy || results.length > 0 || monitor.untold ? 0 : holdSeconds;
    const report = monitor.report();
    const body = { protocol: PROTOCOL, report, results, holdSeconds: held } satisfies SyncRequest;
    this.#unsaid = false;
    this.#idle = held > 0 ? new AbortController() : undefined;
    const signal = this.#idle?.signal ?? this.#ending.signal;
    const reply = await link.signed({ path: "/sync", body, reply: Reply, timeoutMs: held * 1000 + replyTimeoutMs, signal });
    this.#idle = undefined;
    monitor.delivered(report, crashes);
    this.#rotateAfterSeconds = reply.rotateAfterSeconds;
    await this.#keep(reply);
    runner.kick();
    this.#doorbell.told(reply.doorbell);
    const paceMs = reply.pollSeconds * 1000;
    if (runner.busy) return Math.max(paceMs, busyPauseMs);
    if (journal.results().length > 0) return Math.max(paceMs, unheardPauseMs);
    if (this.#doorbell.pollSeconds !== undefined) return this.#doorbell.pollSeconds * 1000;
    const tooSoon = held > 0 && clock.now().getTime() - began < leastPauseMs;
    return Math.max(paceMs, tooSoon ? leastPauseMs : 0);
  }

  /** At most so long: until there is something to tell, or a doorbell to open. */
  async #pause(ms: number): Promise<void> {
    const { clock, monitor } = this.#p;
    const until = clock.now().getTime() + ms;
    for (;;) {
      const leftMs = Math.min(until - clock.now().getTime(), this.#doorbell.dueMs);
      if (leftMs <= 0 || this.#unsaid || this.#ended || monitor.untold) return;
      this.#pausing = new AbortController();
      await clock.sleep(leftMs, this.#pausing.signal);
      this.#pausing = undefined;
    }
  }

  /** Replaces the signing key when it is old. A failure is tried again with the same new key. */
  async #rotate(): Promise<void> {
    const { keys, link, clock } = this.#p;
    const now = clock.now().getTime();
    try {
      // Only the reply to the rotation was lost: the server has just accepted the new key.
      if (keys.alternated) await keys.rotated();
      if (now < this.#rotateNotBefore || !keys.rotationDue(this.#rotateAfterSeconds)) return;
      const body = { publicKey: await keys.next() } satisfies RotateRequest;
      await link.signed({ path: "/rotate", body, reply: z.unknown(), timeoutMs: replyTimeoutMs, signal: this.#ending.signal });
      await keys.rotated();
      this.#rotateBackoff.reset();
      log.info("the signing key was replaced");
    } catch (error) {
      if (this.#ended) return;
      this.#rotateNotBefore = now + this.#rotateBackoff.next();
      log.warn("the rotation of the signing key failed and is tried again", { error: describe(error) });
    }
  }

  /** Replaces the built-in certificate when much of its life is over; a user's own is not ours to replace. The server takes it without a restart. */
  async #renew(): Promise<void> {
    const { keys, link, clock, supervisor } = this.#p;
    const now = clock.now().getTime();
    if (now < this.#renewNotBefore || (!this.#unpresented && !keys.renewalDue)) return;
    try {
      if (keys.renewalDue) {
        const body = { tlsPublicKey: keys.tlsPublicKey } satisfies CertificateRequest;
        await keys.enrolled(await link.signed({ path: "/certificate", body, reply: EnrolReply, timeoutMs: replyTimeoutMs, signal: this.#ending.signal }));
        this.#unpresented = true;
      }
      await supervisor.certify();
      this.#unpresented = false;
      this.#renewBackoff.reset();
      log.info("the certificate was renewed");
    } catch (error) {
      if (this.#ended) return;
      this.#renewNotBefore = now + this.#renewBackoff.next();
      log.warn("the certificate was not renewed, which is tried again", { error: describe(error) });
    }
  }

  /** A full disk keeps the agent from doing jobs, not from reporting. */
  async #keep(reply: z.output<typeof Reply>): Promise<void> {
    try {
      await this.#p.journal.acknowledge(reply.acknowledged);
      await this.#p.journal.receive(reply.jobs);
    } catch (error) {
      log.error("the journal could not be written", { error: describe(error) });
    }
  }
}
