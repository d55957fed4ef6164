import * as z from "zod";
import { Config } from "#core/config";
import { environments, parsed } from "#functions/aws/environment";
import { eventSettings } from "#functions/events/sink";

/*
 * What a process on servers of your own is told; the same names, rules and meanings as in Lambda.
 */

const passwords = environments.migrate.pick({ COFFER_APP_PASSWORD: true, COFFER_SYSTEM_PASSWORD: true }).shape;
const port = z.coerce.number().int().min(0).max(65535);

const Settings = z.object({
  ...Config.shape,
  /** Server and database. Who connects is added here: the two roles that serve; a name or password in it is not used. */
  ...environments.api.pick({ DATABASE_URL: true }).shape,
  ...passwords,
  ...environments.api.pick({
    COFFER_KEYSTONE_URL: true,
    COFFER_KEYSTONE_PASSWORD: true,
    COFFER_KEYSTONE_USERNAME: true,
    COFFER_KEYSTONE_PROJECT: true,
    COFFER_KEYSTONE_USER_DOMAIN: true,
    COFFER_KEYSTONE_PROJECT_DOMAIN: true,
    COFFER_KEYSTONE_CACHE_SECONDS: true,
    COFFER_PUBLIC_ENDPOINT: true,
  }).shape,
  ...environments.guest.pick({ COFFER_CA_CERTIFICATE: true, COFFER_CA_KEY: true }).shape,
  ...environments.workflow.pick({ COFFER_CLOUD: true, COFFER_GUEST_URL: true, COFFER_ROOT_KEY: true, COFFER_QUEUE_URL: true }).shape,
  /** Of the SQS-compatible endpoint; that itself is AWS_ENDPOINT_URL_SQS, and credentials are the SDK's own variables. */
  AWS_REGION: z.string().min(1).default("us-east-1"),
  /** Address for API and guests. The API is plain HTTP: what ends TLS stands before it. */
  COFFER_HOST: z.string().min(1).default("127.0.0.1"),
  COFFER_PORT: port.default(8779),
  COFFER_GUEST_PORT: port.default(8780),
  /** Connections to the database, per role. */
  COFFER_DB_MAX: z.coerce.number().int().min(1).max(100).default(10),
  /** What a process that died has left is carried on after this and the 25 s of a lease, at the latest. */
  COFFER_SWEEP_SECONDS: z.coerce.number().int().min(1).max(300).default(60),
  ...eventSettings,
  /** For crash suites: this process kills itself at the named point. */
  COFFER_FAILPOINT: z.string().optional(),
});
export type ServerSettings = z.output<typeof Settings>;

/** As the owner of the schema, and directly: the lock it takes belongs to a session. */
const Migrator = z.object({ ...environments.migrate.pick({ DATABASE_URL: true }).shape, ...passwords });

/** Throws an Error that names every variable that is wrong and the rule. */
export const settingsOf = (given: Record<string, string | undefined>): ServerSettings => parsed("The server", Settings, given);
export const migratorOf = (given: Record<string, string | undefined>) => parsed("The migrator", Migrator, given);
