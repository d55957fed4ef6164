import * as z from "zod";
import { Config } from "#core/config";

/**
 * What each Lambda function reads from its environment: one table, so that the stack's test can
 * compare it with what the stack gives. A key without a default must be given.
 *
 * Secrets come here from SST secrets as encrypted environment variables. What bounds that: only
 * who may call `lambda:GetFunctionConfiguration` or decrypt with the function's key reads them,
 * a function is given only the secrets it uses, and a rotation is a deployment. 4 KB is all the
 * environment of a function may hold (Lambda quotas).
 */

/** Connected as the role the function may be; a pooler in transaction mode may stand between. */
const database = { DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }) };
const queue = { COFFER_QUEUE_URL: z.url() };
/** Management endpoint of the doorbell's WebSocket API, `https://<host>/<stage>`. Absent: guests have no doorbell. */
const doorbell = { COFFER_DOORBELL_ENDPOINT: z.url({ protocol: /^https?$/ }).optional() };
/** What tenants give in confidence is sealed with it. Not the root key: who seals need not make enrolment tokens. */
const seal = { COFFER_SEAL_KEY: z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hex digits") };
const machines = { COFFER_STATE_MACHINES: z.string().transform(readMachines) };

/** What the drivers and the boot data of new machines need. */
const workshop = {
  /** Which cloud the instances live in; see `functions/aws/cloud.ts`. */
  COFFER_CLOUD: z.string().min(1),
  COFFER_INSTALLATION: z.string().regex(/^[0-9a-f]{10}$/, "must be 10 hex digits"),
  /** Where guests reach the guest endpoint, with its path: `https://<host>/guest/v1`. */
  COFFER_GUEST_URL: z.url({ protocol: /^https$/ }),
  /** Enrolment tokens are derived from it. */
  COFFER_ROOT_KEY: z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hex digits"),
  /**
   * The CAs by which guests know the guest endpoint. Absent: the public ones, as an API Gateway's
   * certificate is of them.
   */
  COFFER_GUEST_CA: pem("CERTIFICATE").optional(),
};

export const environments = {
  /** As `coffer_app`. */
  api: z.object({
    ...Config.shape,
    ...database,
    ...queue,
    ...doorbell,
    ...seal,
    /** Identity root, with or without `/v3`. */
    COFFER_KEYSTONE_URL: z.url(),
    COFFER_KEYSTONE_PASSWORD: z.string().min(1),
    COFFER_KEYSTONE_USERNAME: z.string().min(1).default("trove"),
    COFFER_KEYSTONE_PROJECT: z.string().min(1).default("service"),
    COFFER_KEYSTONE_USER_DOMAIN: z.string().min(1).default("Default"),
    COFFER_KEYSTONE_PROJECT_DOMAIN: z.string().min(1).default("Default"),
    /** How long a token that was found good is believed to be, and so how late a revocation may be seen. */
    COFFER_KEYSTONE_CACHE_SECONDS: z.coerce.number().int().min(0).max(60).default(60),
    /** Scheme and host to show in links, if not those of the request. */
    COFFER_PUBLIC_ENDPOINT: z.url().optional(),
  }),
  /** As `coffer_system`, like all that follow but the migrator. */
  guest: z.object({
    ...database,
    ...seal,
    COFFER_CA_CERTIFICATE: pem("CERTIFICATE"),
    COFFER_CA_KEY: pem("PRIVATE KEY"),
    /** How often a guest without work asks; a function cannot hold its request. */
    COFFER_GUEST_POLL_SECONDS: z.coerce.number().int().min(1).max(60).default(15),
    /** The doorbell's WebSocket API, `wss://<host>/<stage>`. Absent: guests have none, and ask at the pace above. */
    COFFER_DOORBELL_URL: z.url({ protocol: /^wss$/ }).optional(),
    /** How often a guest that can be rung says that nothing has changed; the gateway closes at ten minutes of silence. */
    COFFER_DOORBELL_PING_SECONDS: z.coerce.number().int().min(60).max(540).default(480),
    /** How often it reports in full all the same. */
    COFFER_DOORBELL_POLL_SECONDS: z.coerce.number().int().min(60).max(7200).default(1800),
  }),
  doorbell: z.object({ ...database, ...doorbell }).required(),
  queue: z.object({ ...database, ...machines }),
  workflow: z.object({ ...database, ...queue, ...doorbell, ...workshop }),
  cron: z.object({
    ...Config.shape,
    ...database,
    ...queue,
    ...machines,
    ...workshop,
    /** Name of the event bus that is told what happens. Absent: nobody is. */
    COFFER_EVENT_BUS: z.string().min(1).optional(),
  }),
  /** As the owner of the schema, and directly: the lock it takes belongs to a session. */
  migrate: z.object({
    ...database,
    COFFER_APP_PASSWORD: z.string().min(16),
    COFFER_SYSTEM_PASSWORD: z.string().min(16),
    COFFER_INSTALLATION: workshop.COFFER_INSTALLATION,
    /** Set by Lambda: where the code is, and beside it the folder `migrations`. */
    LAMBDA_TASK_ROOT: z.string().min(1),
  }),
} as const;

export type FunctionName = keyof typeof environments;
export type Environment<F extends FunctionName> = z.output<(typeof environments)[F]>;

/** What a stack has to give a function; the rest has a default, or is set by Lambda itself. */
export function requiredKeys(name: FunctionName): string[] {
  const shape: Record<string, z.ZodType> = environments[name].shape;
  return Object.keys(shape).filter((key) => key !== "LAMBDA_TASK_ROOT" && !shape[key]?.safeParse(undefined).success);
}

/** Parses at a cold start; an Error names every variable that is wrong and the rule, never the value. */
export function environmentOf<F extends FunctionName>(name: F, given: Record<string, string | undefined>): Environment<F> {
  return parsed(`The function '${name}'`, environments[name], given) as Environment<F>;
}

/** What a schema makes of an environment, frozen; else an Error, as above, about `whose`. */
export function parsed<S extends z.ZodType<object>>(whose: string, schema: S, given: Record<string, string | undefined>): Readonly<z.output<S>> {
  const { success, data, error } = schema.safeParse(given);
  if (success) return Object.freeze(data);
  const wrong = error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new Error(`${whose} is not configured. ${wrong.join("; ")}`);
}

/** The PEM of a certificate or a key; line ends may have become `\n`, as happens to variables. */
function pem(what: "CERTIFICATE" | "PRIVATE KEY") {
  return z
    .string()
    .transform((text) => text.replaceAll("\\n", "\n").trim())
    .refine((text) => text.startsWith(`-----BEGIN ${what}-----\n`) && text.endsWith(`\n-----END ${what}-----`), `must be PEM of a ${what}`);
}

/** JSON: kind of operation -> ARN of its state machine. */
function readMachines(text: string, context: z.RefinementCtx): Record<string, string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Refused below: what is no JSON is no record either.
    value = undefined;
  }
  const read = z.record(z.string(), z.string().regex(/^arn:[\w-]+:states:/)).safeParse(value);
  if (read.success) return read.data;
  context.addIssue({ code: "custom", message: "must be JSON that maps each kind of operation to the ARN of its state machine" });
  return z.NEVER;
}
