import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { system } from "#core/actor";
import type { Clock } from "#core/clock";
import { enter } from "#core/context";
import type { Database } from "#core/db/index";
import { systemRandom } from "#core/id";
import { authenticatorOf } from "#functions/identity/authenticate";
import type { CatalogueOptions } from "#functions/identity/catalogue";
import { discovery } from "#functions/identity/discovery";
import { fault, faultOf } from "#functions/identity/fault";
import { resources } from "#functions/identity/resources";
import { Throttle } from "#functions/identity/throttle";
import { tokenCodec } from "#functions/identity/token";
import { tokens } from "#functions/identity/tokens";

export { addUser, seedIdentity, type NewUser } from "#functions/identity/seed";

export interface IdentityOptions extends CatalogueOptions {
  /** Connected as `coffer_system`. */
  db: Database;
  /** Secret of the installation; tokens hold as long as it stays the same. */
  signingKey: Buffer;
  clock: Clock;
  /** Life of a token, s. Keystone's default is 3600. */
  tokenSeconds?: number;
}

/** Far above any login; Keystone's own limit is 112 KB. */
const MAX_BODY_BYTES = 64 * 1024;

/**
 * The part of Keystone v3 that OpenStack clients need. It serves below the path of
 * `publicUrl`, so it is called (or mounted at "/") with whole paths. It trusts no forwarded
 * address: the client's is that of the connection.
 */
export function createIdentity(options: IdentityOptions): Hono {
  const { db, clock, signingKey, tokenSeconds = 3600 } = options;
  const publicUrl = options.publicUrl.replace(/\/+$/, "");
  const catalogue = { publicUrl, databaseUrl: options.databaseUrl, keyManagerUrl: options.keyManagerUrl, region: options.region, ...(options.objectStoreUrl && { objectStoreUrl: options.objectStoreUrl }) };
  const codec = tokenCodec(signingKey);
  const authenticator = authenticatorOf(codec, new Throttle(clock), tokenSeconds);
  const app = new Hono().basePath(new URL(publicUrl).pathname);
  app.onError((error, c) => faultOf(c, publicUrl, error));
  app.use(async (c, next) => {
    const requestId = `req-${systemRandom.uuid()}`;
    await enter({ db, actor: system("identity"), clock, requestId }, next);
    c.header("x-openstack-request-id", requestId);
  });
  app.use(
    bodyLimit({
      maxSize: MAX_BODY_BYTES,
      onError: (c) => fault(c, publicUrl, 413, `The request body is larger than ${MAX_BODY_BYTES} bytes.`),
    }),
  );
  discovery(app, publicUrl);
  tokens(app, { ...catalogue, codec, authenticator });
  resources(app, catalogue, authenticator);
  app.all("*", (c) => fault(c, publicUrl, 404, `The identity service of this installation does not offer ${c.req.method} ${c.req.path}.`));
  return app;
}
