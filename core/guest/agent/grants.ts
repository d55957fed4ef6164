import type { Clock } from "#core/clock";
import { AppError } from "#core/error";
import type { Keys } from "#core/guest/agent/keys";
import type { Link } from "#core/guest/agent/link";
import { ObjectClient, type Address } from "#core/guest/agent/objects";
import { GrantReply, keyBound, type Boot, type GrantRequest, type Place } from "#core/guest/protocol";

const replyTimeoutMs = 15_000;
/** A grant that ends sooner is renewed: no object takes longer. */
const renewBeforeMs = 10 * 60_000;

interface Parts {
  boot: Pick<Boot, "instanceId" | "generation">;
  link: Pick<Link, "signed" | "tls">;
  keys: Pick<Keys, "unseal">;
  clock: Clock;
  /** Fires when the agent ends. */
  signal: AbortSignal;
  /** A request that is held for long makes way. */
  urge: () => void;
}

/** A place of the object store that this agent may use, and the key of what is there. */
export interface GrantedPlace {
  installation: string;
  place: Place;
  key: Buffer;
  objects: ObjectClient;
}

/** What the control plane grants for a job, or for the archive of WAL; renewed as long as it is used. */
export class Grants {
  readonly #p: Parts;

  constructor(parts: Parts) {
    this.#p = parts;
  }

  /** The places by backup id, or `wal`. AppError `notImplemented` where none are offered. `signal` ends whatever is done with them. */
  async ask(request: GrantRequest, signal: AbortSignal = this.#p.signal): Promise<Map<string, GrantedPlace>> {
    const granted = new Granted(this.#p, request);
    const { installation, places } = await granted.present();
    const { boot, keys, link, clock } = this.#p;
    return new Map(
      places.map(({ backupId, place, key }) => {
        const dataKey = Buffer.from(keys.unseal(keyBound(boot.instanceId, boot.generation, place), key), "hex");
        const objects = new ObjectClient({ address: (isStale) => granted.address(backupId, isStale), tls: link.tls, clock, signal });
        return [backupId, { installation, place, key: dataKey, objects }];
      }),
    );
  }
}

class Granted {
  readonly #p: Parts;
  readonly #request: GrantRequest;
  #reply: Promise<GrantReply> | undefined;
  #until = 0;

  constructor(parts: Parts, request: GrantRequest) {
    this.#p = parts;
    this.#request = request;
  }

  /** The last reply, or a new one when that is about to end. Those who ask at the same time share one request. */
  async present(isStale = false): Promise<GrantReply> {
    const now = this.#p.clock.now().getTime();
    if (this.#reply && !isStale && this.#until > now) return this.#reply;
    this.#until = now + replyTimeoutMs;
    this.#reply = this.#ask();
    return this.#reply;
  }

  async address(backupId: string, isStale: boolean): Promise<Address> {
    const { places } = await this.present(isStale);
    const found = places.find((one) => one.backupId === backupId);
    if (!found) throw new AppError("conflict", "The control plane grants this place no more.", { reason: "grant.place" });
    return found;
  }

  async #ask(): Promise<GrantReply> {
    const { link, signal, urge, clock } = this.#p;
    try {
      const asked = link.signed({ path: "/grant", body: this.#request, reply: GrantReply, timeoutMs: replyTimeoutMs, signal });
      urge();
      const reply = await asked;
      const now = clock.now().getTime();
      const end = Math.min(...reply.places.map(({ expiresAt }) => Date.parse(expiresAt)));
      // A short one is used for half of its time.
      this.#until = Math.max(end - renewBeforeMs, now + (end - now) / 2);
      return reply;
    } catch (error) {
      this.#reply = undefined;
      throw error;
    }
  }
}
