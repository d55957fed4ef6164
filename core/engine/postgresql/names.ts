import { badRequest } from "#core/error";

/** The agent's own role; the bootstrap superuser of every cluster. */
export const superuser = "os_admin";
/** The user's administrator (contract §6.15). */
export const root = "root";
/** Owns the databases that are made through the API, and nothing inside them. Nobody can log in as it. */
export const owner = "coffer_owner";
/**
 * Owns what deleted users leave behind. Not `owner`, because a SECURITY DEFINER function left behind
 * runs with the rights of who owns it then, and `owner` may hand out access to every database.
 */
export const heir = "coffer_heir";
/** Where the agent's sessions are when they belong to no database of the tenant's. */
export const home = "postgres";

/** Begins the names of roles and slots of those that follow this server. */
export const followerPrefix = "coffer_replica_";

const reservedUsers = new Set([superuser, root, owner, heir, "postgres", "public", "none"]);
const reservedDatabases = new Set([home, superuser, "template0", "template1"]);
/** NAMEDATALEN - 1: PostgreSQL cuts longer names off without an error. */
const longest = 63;

export const isReservedUser = (name: string) => reservedUsers.has(name) || name.startsWith("pg_") || name.startsWith(followerPrefix);
export const isReservedDatabase = (name: string) => reservedDatabases.has(name);

/** An SQL identifier, whatever the name holds. */
export const identifier = (name: string) => `"${name.replaceAll('"', '""')}"`;
/** An SQL string; the agent's sessions have standard_conforming_strings on. */
export const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** Throws AppError `badRequest` unless PostgreSQL can have a user of this name, and the tenant may (contract §7.2, §7.5). */
export function checkUser(name: string): void {
  check("user", name, 1);
  if (isReservedUser(name)) throw badRequest(`The user name ${shown(name)} is reserved.`, { reason: "user.reserved", final: true });
}

/** Throws AppError `badRequest` unless PostgreSQL can have a database of this name, and the tenant may (contract §7.2, §7.5). */
export function checkDatabase(name: string): void {
  check("database", name, 2);
  if (/\s$/.test(name)) throw badRequest(`The database name ${shown(name)} ends with a blank.`, { reason: "database.name", final: true });
  if (isReservedDatabase(name)) throw badRequest(`The database name ${shown(name)} is reserved.`, { reason: "database.reserved", final: true });
}

function check(kind: "user" | "database", name: string, shortest: number): void {
  const refuse = (why: string) => badRequest(`The ${kind} name ${shown(name)} ${why}.`, { reason: `${kind}.name`, final: true });
  if (name.length < shortest) throw refuse(shortest === 1 ? "is empty" : `is shorter than ${shortest} characters`);
  if (Buffer.byteLength(name) > longest) throw refuse(`is longer than ${longest} bytes`);
  if (name.includes("\0")) throw refuse("contains a zero byte");
  if (/\p{Surrogate}/u.test(name)) throw refuse("is not valid Unicode");
}

/** A name inside a message: on one line, and of bounded length. */
export const shown = (name: string) => JSON.stringify(name.length > 80 ? `${name.slice(0, 77)}...` : name);

const verifierForm = /^SCRAM-SHA-256\$\d{1,8}:[A-Za-z0-9+/]+={0,2}\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$/;

/** Throws AppError `badRequest` for anything but a verifier: PostgreSQL would take it for a password in plain. */
export function checkVerifier(verifier: string): void {
  if (!verifierForm.test(verifier)) throw badRequest("The password is not given as a SCRAM-SHA-256 verifier.", { reason: "user.verifier", final: true });
}
