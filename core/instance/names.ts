import { badRequest, unprocessable } from "#core/error";

/** What an engine allows users to call things (contract §7.2, §7.5). */
interface Rules {
  /** Whether a user is a name and a host; without hosts every user's host is `%`. */
  hosts: boolean;
  /** What is wrong with a name; undefined = nothing. */
  database: (name: string) => string | undefined;
  user: (name: string) => string | undefined;
  reservedDatabase: (name: string) => boolean;
  reservedUser: (name: string) => boolean;
}

/** NAMEDATALEN - 1; PostgreSQL counts bytes and would cut a longer name silently. */
const POSTGRESQL_NAME_BYTES = 63;

function postgresqlName(name: string): string | undefined {
  if (name.includes("\0")) return "it contains a NUL character";
  if (Buffer.byteLength(name) > POSTGRESQL_NAME_BYTES) return `it is longer than ${POSTGRESQL_NAME_BYTES} bytes`;
  return undefined;
}

const ours = new Set(["os_admin", "postgres", "coffer_owner"]);

const postgresql: Rules = {
  hosts: false,
  database(name) {
    if (name.length < 2) return "it is shorter than 2 characters";
    if (/\s$/u.test(name)) return "it ends with a blank";
    return postgresqlName(name);
  },
  user: (name) => (name.length === 0 ? "it is empty" : postgresqlName(name)),
  reservedDatabase: (name) => ours.has(name) || name === "template0" || name === "template1",
  // "public" and "none" are key words where a role is named; pg_ is PostgreSQL's own prefix, the last one that of our replicas.
  reservedUser: (name) => ours.has(name) || ["root", "public", "none"].includes(name) || name.startsWith("pg_") || name.startsWith("coffer_replica_"),
};

const byManager: Record<string, Rules> = { postgresql };

/** The rules of an engine; 422 for one whose databases and users are not managed through the API (contract §3.4). */
export function rulesOf(manager: string): Rules {
  const rules = byManager[manager];
  if (!rules) throw unprocessable(`Users and databases of datastore '${manager}' are not managed here.`, { reason: "engine.unsupported" });
  return rules;
}

/** Throws 400 unless a database may have this name. */
export function checkDatabase(manager: string, name: string): void {
  refuseReservedDatabase(manager, name);
  const broken = rulesOf(manager).database(name);
  if (broken) throw badRequest(`Database name '${name}' is not allowed: ${broken}.`, { reason: "name.invalid" });
}

/** Throws 400 unless a user may have this name. */
export function checkUser(manager: string, name: string): void {
  refuseReservedUser(manager, name);
  const broken = rulesOf(manager).user(name);
  if (broken) throw badRequest(`User name '${name}' is not allowed: ${broken}.`, { reason: "name.invalid" });
}

/** Throws 400 for a database that is the platform's own. */
export function refuseReservedDatabase(manager: string, name: string): void {
  if (rulesOf(manager).reservedDatabase(name)) throw badRequest(`Database name '${name}' is reserved.`, { reason: "name.reserved" });
}

/** Throws 400 for a user that is the platform's own. */
export function refuseReservedUser(manager: string, name: string): void {
  if (rulesOf(manager).reservedUser(name)) throw badRequest(`User name '${name}' is reserved.`, { reason: "name.reserved" });
}

/** The first value that occurs twice. */
export function duplicate(values: string[]): string | undefined {
  const seen = new Set<string>();
  return values.find((value) => seen.size === seen.add(value).size);
}
