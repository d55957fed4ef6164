import { Agent, request } from "node:https";
import type * as z from "zod";
import type { Clock } from "#core/clock";
import { AppError } from "#core/error";
import type { Keys } from "#core/guest/agent/keys";
import type { Sequence } from "#core/guest/agent/sequence";
import { headers, signedText, type Boot } from "#core/guest/protocol";

/** Bytes of a reply at most: a hundred jobs of a hundred users stay far below. */
const replyLimit = 8 * 1024 * 1024;

export interface Post<S extends z.ZodType> {
  /** Below the boot URL, e.g. `/sync`. */
  path: string;
  body: unknown;
  /** Sent as they are, in place of `body`. */
  bytes?: Uint8Array;
  reply: S;
  timeoutMs: number;
  /** Gives the request up; it may have been processed all the same. */
  signal: AbortSignal;
}

/** By whom a server is known. */
export interface Tls {
  ca?: string;
  minVersion: "TLSv1.2";
}

/**
 * The way to the control plane: HTTPS on one kept connection, with a server that proves itself
 * by the boot CA and nothing else, or by a public one if the boot data names none. Failures are AppErrors: `unauthorized` when the server
 * answers 401, `forbidden` when it answers 403 or 410, `notImplemented` when it knows no such request (404, 501), else `serviceUnavailable`.
 */
export class Link {
  readonly #boot: Boot;
  readonly #keys: Keys;
  readonly #sequence: Sequence;
  readonly #clock: Clock;
  readonly #agent: Agent;
  #turn: Promise<void> = Promise.resolve();

  constructor(boot: Boot, keys: Keys, sequence: Sequence, clock: Clock) {
    this.#boot = boot;
    this.#keys = keys;
    this.#sequence = sequence;
    this.#clock = clock;
    // Two, because a connection that was given up may still be closing when the next request starts.
    this.#agent = new Agent({ keepAlive: true, maxSockets: 2, maxFreeSockets: 1, ...this.tls });
  }

  /** A request that proves nothing: only for enrolment, whose body carries the token. */
  async plain<S extends z.ZodType>(post: Post<S>): Promise<z.output<S>> {
    return this.#send(post, JSON.stringify(post.body), {});
  }

  /** A request signed with the present key, under a number of its own. One after the other, as numbers must arrive in order. */
  async signed<S extends z.ZodType>(post: Post<S>): Promise<z.output<S>> {
    const before = this.#turn;
    let done = () => {};
    this.#turn = new Promise((resolve) => (done = resolve));
    await before;
    try {
      const body = post.bytes ?? JSON.stringify(post.body);
      return await this.#send(post, body, await this.#signature(this.#url(post.path).pathname, body));
    } finally {
      done();
    }
  }

  /** What a handshake elsewhere is made with: signed as a request for `path` without a body, and the CA that is believed. */
  async handshake(path: string): Promise<{ headers: Record<string, string>; tls: Tls }> {
    return { headers: await this.#signature(path, ""), tls: this.tls };
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Under a number of its own. */
  async #signature(path: string, body: string | Uint8Array): Promise<Record<string, string>> {
    const { instanceId, generation } = this.#boot;
    const sequence = await this.#sequence.next();
    return {
      [headers.instance]: instanceId,
      [headers.generation]: String(generation),
      [headers.sequence]: String(sequence),
      [headers.signature]: this.#keys.sign(signedText(path, instanceId, generation, sequence, body)),
    };
  }

  /** By whom servers of the installation are known. */
  get tls(): Tls {
    return { ...(this.#boot.ca && { ca: this.#boot.ca }), minVersion: "TLSv1.2" };
  }

  #url(path: string): URL {
    return new URL(`${this.#boot.url.replace(/\/$/, "")}${path}`);
  }

  async #send<S extends z.ZodType>(post: Post<S>, body: string | Uint8Array, extra: Record<string, string>): Promise<z.output<S>> {
    const { status, text } = await this.#exchange(post, body, extra);
    if (status === 401) throw new AppError("unauthorized", `${post.path} was answered with 401`, { reason: "guest.refused", final: true });
    if (status === 403 || status === 410) throw new AppError("forbidden", `${post.path} was answered with ${status}`, { reason: "guest.refused", final: true });
    if (status === 404 || status === 501) throw new AppError("notImplemented", `${post.path} is not offered here (${status})`, { reason: "guest.not_offered" });
    if (status < 200 || status > 299) throw new AppError("serviceUnavailable", `${post.path} was answered with ${status}`);
    let value: unknown;
    try {
      value = text === "" ? {} : JSON.parse(text);
    } catch {
      // The parser's message quotes the text, which may hold a verifier.
      throw new AppError("serviceUnavailable", `${post.path} was answered with something that is not JSON`);
    }
    const parsed = post.reply.safeParse(value);
    if (parsed.success) return parsed.data;
    const where = parsed.error.issues.map((issue) => issue.path.join(".")).slice(0, 10).join(", ");
    throw new AppError("serviceUnavailable", `${post.path} was answered with a message of another form (${where})`);
  }

  async #exchange(post: Pick<Post<z.ZodType>, "path" | "timeoutMs" | "signal">, body: string | Uint8Array, extra: Record<string, string>) {
    const given = new AbortController();
    const ended = new AbortController();
    const giveUp = () => given.abort();
    if (post.signal.aborted) giveUp();
    post.signal.addEventListener("abort", giveUp, { once: true });
    void this.#clock.sleep(post.timeoutMs, ended.signal).then(giveUp);
    try {
      return await this.#once(this.#url(post.path), body, extra, given.signal);
    } catch (cause) {
      const why = given.signal.aborted ? "was given up" : cause instanceof Error ? cause.message : "failed";
      throw new AppError("serviceUnavailable", `${post.path}: ${why}`, { cause });
    } finally {
      ended.abort();
      post.signal.removeEventListener("abort", giveUp);
    }
  }

  #once(url: URL, body: string | Uint8Array, extra: Record<string, string>, signal: AbortSignal): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const bytes = typeof body === "string" ? Buffer.from(body) : body;
      const options = { method: "POST", agent: this.#agent, signal, headers: { "content-type": typeof body === "string" ? "application/json" : "application/octet-stream", "content-length": bytes.length, ...extra } };
      const sent = request(url, options, (reply) => {
        const parts: Buffer[] = [];
        let size = 0;
        reply.on("data", (part: Buffer) => {
          size += part.length;
          if (size > replyLimit) sent.destroy(new Error("the reply is too long"));
          else parts.push(part);
        });
        reply.on("error", reject);
        reply.on("end", () => resolve({ status: reply.statusCode ?? 0, text: Buffer.concat(parts).toString("utf8") }));
      });
      sent.on("error", reject);
      sent.end(bytes);
    });
  }
}
