import { WebSocket } from "ws";
import type { Clock } from "#core/clock";
import { describe } from "#core/error";
import { Backoff } from "#core/guest/agent/backoff";
import type { Link } from "#core/guest/agent/link";
import { DOORBELL_PATH, PING, type SyncReply } from "#core/guest/protocol";
import type { Random } from "#core/id";
import { log } from "#core/log";

const handshakeMs = 10_000;
/** Below the 350 s after which address translation on the way forgets a silent connection; finds a dead one soon. */
const keepAliveMs = 60_000;
/** Whoever rings says nothing; more than this is not read. */
const longestBytes = 1024;

export type Offer = NonNullable<SyncReply["doorbell"]>;

interface Bell {
  link: Link;
  clock: Clock;
  random: Random;
  /** The server should be asked for work. */
  rung: () => void;
  /** The connection ended; `dueMs` says when to open another. */
  lost: () => void;
  /** True while the server has not heard of the present state: then nothing may be said to still hold. */
  untold: () => boolean;
}

/**
 * The connection by which the control plane can ask for a sync. It carries no data, and nothing depends on it: without
 * it the agent asks at the pace that the server set. It counts only once the server has said that it could ring.
 */
export class Doorbell {
  readonly #bell: Bell;
  readonly #backoff: Backoff;
  #offer: Offer | undefined;
  #socket: WebSocket | undefined;
  #confirmed = false;
  #notBefore = 0;

  constructor(bell: Bell) {
    this.#bell = bell;
    // The gateway takes 500 new connections a second; a fleet that lost them all at once shall not come back in step.
    this.#backoff = new Backoff(8_000, 300_000, bell.random);
  }

  /** What the server said last. A connection that it does not know is of no use. */
  told(offer: Offer | undefined): void {
    const moved = this.#socket !== undefined && offer?.url !== this.#offer?.url;
    this.#offer = offer;
    this.#confirmed = this.#socket !== undefined && !moved && offer?.connected === true;
    if (this.#confirmed) this.#backoff.reset();
    else if (this.#socket) {
      this.close();
      this.#notBefore = moved ? 0 : this.#now + this.#backoff.next();
    }
  }

  /** How often to ask while the server can ring, seconds; undefined while it cannot. */
  get pollSeconds(): number | undefined {
    return this.#confirmed ? this.#offer?.pollSeconds : undefined;
  }

  /** Milliseconds until a connection should be opened; Infinity when there is one, or none to open. */
  get dueMs(): number {
    return this.#offer === undefined || this.#socket ? Infinity : Math.max(0, this.#notBefore - this.#now);
  }

  /**
   * Opens the connection, if it is due; resolves when that has succeeded or failed. Its handshake is a
   * signed request like others, so it must not run beside one.
   */
  async open(): Promise<void> {
    if (this.#offer === undefined || this.dueMs > 0) return;
    this.#notBefore = this.#now + this.#backoff.next();
    const { link, clock } = this.#bell;
    const handshaken = new AbortController();
    try {
      const { headers, tls } = await link.handshake(DOORBELL_PATH);
      const socket = new WebSocket(this.#offer.url, { ...tls, headers, maxPayload: longestBytes, perMessageDeflate: false });
      this.#socket = socket;
      const ended = new AbortController();
      socket.on("upgrade", (reply) => reply.socket.setKeepAlive(true, keepAliveMs));
      socket.on("message", () => this.#bell.rung());
      socket.on("error", (error) => log.warn("the doorbell failed", { error: describe(error) }));
      socket.on("close", () => {
        ended.abort();
        handshaken.abort();
        this.#gone(socket);
      });
      socket.on("open", () => {
        handshaken.abort();
        log.info("the doorbell is open");
        void this.#speak(socket, ended.signal);
      });
      await clock.sleep(handshakeMs, handshaken.signal);
      if (socket.readyState === WebSocket.CONNECTING) socket.terminate();
    } catch (error) {
      log.warn("the doorbell cannot be opened", { error: describe(error) });
    }
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#confirmed = false;
    socket?.terminate();
  }

  get #now(): number {
    return this.#bell.clock.now().getTime();
  }

  #gone(socket: WebSocket): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    const served = this.#confirmed;
    this.#confirmed = false;
    if (served) this.#notBefore = this.#now + this.#backoff.next();
    this.#bell.lost();
  }

  /** Says at the pace the server set that nothing has changed; the gateway closes what is silent. */
  async #speak(socket: WebSocket, ended: AbortSignal): Promise<void> {
    while (!ended.aborted) {
      await this.#bell.clock.sleep((this.#offer?.pingSeconds ?? 0) * 1000, ended);
      if (!ended.aborted && socket.readyState === WebSocket.OPEN && !this.#bell.untold()) socket.send(PING);
    }
  }
}
