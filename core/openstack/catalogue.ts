import * as z from "zod";
import type { Clock } from "#core/clock";
import { AppError } from "#core/error";
import type { Session } from "#core/openstack/session";

export interface Place {
  /** Type of a service in the catalogue: `compute`, `volumev3`. */
  type: string;
  /** Absent: where the catalogue names only one. */
  region?: string;
  /** Default: internal, as services of a cloud reach each other. */
  interface?: "public" | "internal" | "admin";
}

const Answer = z.object({
  catalog: z.array(z.object({ type: z.string(), endpoints: z.array(z.object({ interface: z.string(), region: z.string().nullable().optional(), url: z.string() })) })),
});
type Services = z.output<typeof Answer>["catalog"];

/** It is asked for anew after this: endpoints move rarely, and nobody says when. */
const BELIEVED_MS = 300_000;

/** Keystone's catalogue, as it is for the session's project (Identity API v3, "Get service catalog"). */
export class Catalogue {
  readonly #session: Session;
  readonly #clock: Clock;
  #known: { services: Services; until: number } | undefined;

  constructor(session: Session, clock: Clock) {
    this.#session = session;
    this.#clock = clock;
  }

  /** Where a service is, without a slash at the end. Throws `serviceUnavailable` that says what the catalogue has instead. */
  async endpoint({ type, region, interface: face = "internal" }: Place): Promise<string> {
    const all = (await this.#services()).filter((service) => service.type === type).flatMap(({ endpoints }) => endpoints);
    const [only, other] = all.filter((one) => one.interface === face && (region === undefined || one.region === region));
    if (only && (!other || region !== undefined)) return only.url.replace(/\/+$/, "");
    const where = `endpoint '${face}' of a service '${type}'${region === undefined ? "" : ` in the region '${region}'`}`;
    const has = all.map((one) => `${one.interface} in ${one.region ?? "no region"}`).join(", ");
    throw new AppError("serviceUnavailable", only ? `The catalogue has an ${where} in several regions.` : `The catalogue has no ${where}.`, {
      reason: "identity.catalogue",
      next: has === "" ? "Register the service in Keystone." : `It has: ${has}.`,
    });
  }

  async #services(): Promise<Services> {
    const now = this.#clock.now().getTime();
    if (this.#known && now < this.#known.until) return this.#known.services;
    const { status, body } = await this.#session.ask(`${this.#session.identityUrl}/auth/catalog`);
    const { success, data, error } = Answer.safeParse(body);
    if (status !== 200 || !success) {
      throw new AppError("serviceUnavailable", "The identity service sent no catalogue.", { reason: "identity.answer", cause: error ?? new Error(`Keystone answered ${status}`) });
    }
    this.#known = { services: data.catalog, until: now + BELIEVED_MS };
    return data.catalog;
  }
}
