import { once } from "node:events";
import { Agent, request } from "node:https";
import type { ClientRequest, IncomingMessage } from "node:http";
import { deadline, type Clock } from "#core/clock";
import { AppError, describe } from "#core/error";
import type { Tls } from "#core/guest/agent/link";
import { OBJECT_BYTES, ObjectList } from "#core/guest/protocol";
import { log } from "#core/log";

/** Where the objects of a place are, and what is sent along. */
export interface Address {
  url: string;
  headers: Record<string, string>;
}

interface Parts {
  /** `isStale`: the last one was refused. */
  address: (isStale: boolean) => Promise<Address>;
  tls: Tls;
  clock: Clock;
  signal: AbortSignal;
}

const requestMs = 120_000;
const tries = 7;
/** Written at once: the rest waits in our memory, not a second time in that of TLS. */
const sliceBytes = 256 * 1024;
const answerBytes = 1024 * 1024;

/** Asked again it may be answered differently. */
const passing = new Set([408, 429, 500, 502, 503, 504]);

/** Objects below one prefix, over HTTPS, each as a whole; a store that is away for moments is asked again. */
export class ObjectClient {
  readonly #p: Parts;
  readonly #agent: Agent;

  constructor(parts: Parts) {
    this.#p = parts;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 4, maxFreeSockets: 2, ...parts.tls });
  }

  /** Replaces an object. AppError `object.store` when the store does not take it. `times`: how often it is tried. */
  async put(name: string, stored: Uint8Array, times = tries): Promise<void> {
    await this.#repeated(`storing ${name}`, times, async (address, signal) => {
      const { status } = await this.#exchange("PUT", `/${name}`, address, signal, answerBytes, stored);
      return { status, value: undefined };
    });
  }

  /** Undefined = there is none. */
  get(name: string, times = tries): Promise<Buffer | undefined> {
    return this.#repeated(`reading ${name}`, times, async (address, signal) => {
      const { status, body } = await this.#exchange("GET", `/${name}`, address, signal, OBJECT_BYTES);
      return status === 404 ? { status: 200, value: undefined } : { status, value: body };
    });
  }

  /** Names behind `after`, in order, at most 1000. */
  list(after: string): Promise<ObjectList["objects"]> {
    return this.#repeated("listing objects", tries, async (address, signal) => {
      const { status, body } = await this.#exchange("GET", `?list&after=${encodeURIComponent(after)}`, address, signal, answerBytes);
      return { status, value: status === 200 ? ObjectList.parse(JSON.parse(body.toString("utf8"))).objects : [] };
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  async #repeated<T>(what: string, times: number, once: (address: Address, signal: AbortSignal) => Promise<{ status: number; value: T }>): Promise<T> {
    const { clock, signal, address } = this.#p;
    let isStale = false;
    for (let at = 1; ; at++) {
      signal.throwIfAborted();
      let why: string;
      let isPassing = true;
      try {
        const { status, value } = await once(await address(isStale), AbortSignal.any([signal, deadline(clock, requestMs)]));
        if (status >= 200 && status <= 299) return value;
        isStale = status === 401 || status === 403;
        isPassing = isStale || passing.has(status);
        why = `the object store answers with ${status}`;
      } catch (error) {
        signal.throwIfAborted();
        why = describe(error);
      }
      if (!isPassing || at >= times) throw new AppError("serviceUnavailable", `The object store failed at ${what}: ${why}.`, { reason: "object.store", next: "Try again when it is reachable." });
      log.warn("an object request failed and is tried again", { what, why });
      await clock.sleep(250 * 2 ** at, signal);
    }
  }

  async #exchange(method: string, path: string, { url, headers }: Address, signal: AbortSignal, most: number, content?: Uint8Array): Promise<{ status: number; body: Buffer }> {
    const sent = request(`${url}${path}`, { method, agent: this.#agent, signal, headers: { ...headers, ...(content && { "content-type": "application/octet-stream", "content-length": content.length }) } });
    const answered = once(sent, "response") as Promise<[IncomingMessage]>;
    // Awaited below; a store may answer, or break, before it has read all.
    answered.catch(() => {});
    await Promise.race([write(sent, content), answered]);
    const [reply] = await answered;
    const parts: Buffer[] = [];
    let length = 0;
    for await (const part of reply as AsyncIterable<Buffer>) {
      length += part.length;
      if (length > most) throw new Error("the answer is too long");
      parts.push(part);
    }
    return { status: reply.statusCode ?? 0, body: Buffer.concat(parts, length) };
  }
}

async function write(to: ClientRequest, content: Uint8Array = new Uint8Array()): Promise<void> {
  for (let from = 0; from < content.length; from += sliceBytes) {
    if (!to.write(content.subarray(from, from + sliceBytes))) await once(to, "drain");
  }
  to.end();
}
