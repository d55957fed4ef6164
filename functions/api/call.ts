import type { Actor } from "#core/actor";
import type { Config } from "#core/config";
import type { Images } from "#core/datastore/image";
import type { ObjectStore } from "#core/driver/objectstore";
import type { Reach } from "#core/instance/index";
import type { Seal } from "#core/seal";
import type { SecretStore } from "#core/secret/store";
import type { Links } from "#functions/api/links";
import type { RateLimiter } from "#functions/api/rate";
import { parse } from "#functions/api/validation";
import type { z } from "zod";

/** An object store as the API needs it: to look whether a backup is still there. */
export interface Objects {
  objects: ObjectStore;
  /** What addresses of accounts begin with, `http://host/v1`. */
  root: string;
}

export type UserActor = Extract<Actor, { kind: "user" }>;

/** What a handler gets: the request, understood as far as the route table can. */
export interface Call {
  actor: UserActor;
  params: Record<string, string>;
  query: URLSearchParams;
  /** Parsed JSON; undefined when none was sent. */
  body: unknown;
  config: Config;
  reach: Reach;
  images: Images;
  /** Absent where no key manager is told of. */
  secrets?: SecretStore;
  /** Of the one who asks: what is read for him elsewhere is read as him. */
  token: string;
  links: Links;
  now: Date;
  rates: RateLimiter;
  seal: Seal;
  /** Where logs and backups are; absent where there is no object store. */
  objects?: Objects;
  /** Why a path cannot carry a name that is to be given; undefined if it can. */
  carries(name: string): string | undefined;
}

/** Returns the body of the reply; undefined for one of zero bytes. The status is the route's. */
export interface Handler {
  (call: Call): Promise<unknown>;
  /** What the request's body is parsed with, and described by in `/openapi.json`; absent where none is read. */
  body?: z.ZodType;
}

/** A handler whose body is parsed, and refused (400), before anything else. */
export const taking = <S extends z.ZodType>(body: S, run: (wish: z.output<S>, call: Call) => Promise<unknown>): Handler =>
  Object.assign(async (call: Call) => run(parse(body, call.body), call), { body });

/** A parameter of the matched path. */
export function param(call: Call, name: string): string {
  const value = call.params[name];
  if (value === undefined) throw new Error(`the route has no parameter ${name}`);
  return value;
}
