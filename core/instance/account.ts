import { badRequest } from "#core/error";
import type { JobSpec } from "#core/guest/protocol";
import { scramVerifier } from "#core/guest/scram";
import { checkDatabase, checkUser, duplicate, rulesOf } from "#core/instance/names";

export interface NewDatabase {
  name: string;
  characterSet?: string;
  collate?: string;
}

export interface NewUser {
  name: string;
  host?: string;
  password: string;
  /** Databases it may use from the start. */
  databases: string[];
}

/** Names allowed, none twice; else 400. */
export function checkDatabases(manager: string, databases: NewDatabase[]): void {
  for (const { name } of databases) checkDatabase(manager, name);
  const twice = duplicate(databases.map(({ name }) => name));
  if (twice !== undefined) throw badRequest(`Database '${twice}' is given twice.`, { reason: "database.duplicate" });
}

/** Names allowed, none twice; else 400. Where users have no hosts, the same name with two hosts is the same user. */
export function checkUsers(manager: string, users: NewUser[]): void {
  // An engine without users of its own can be asked for none.
  if (users.length === 0) return;
  const { hosts } = rulesOf(manager);
  for (const { name, databases } of users) {
    checkUser(manager, name);
    for (const database of databases) checkDatabase(manager, database);
  }
  const twice = duplicate(users.map(({ name, host = "%" }) => (hosts ? JSON.stringify([name, host]) : name)));
  if (twice !== undefined) throw badRequest(`User '${hosts ? (JSON.parse(twice) as string[])[0] : twice}' is given twice.`, { reason: "user.duplicate" });
}

/**
 * Users as a guest's job carries them: a verifier instead of the password. Costs some
 * milliseconds of hashing per user, so it is done before a transaction is opened.
 */
export const sealed = (manager: string, users: NewUser[]): Promise<JobSpec<"create_users">["users"]> =>
  Promise.all(
    users.map(async ({ name, host, password, databases }) => ({
      name,
      ...(host !== undefined && rulesOf(manager).hosts && { host }),
      verifier: await scramVerifier(password),
      databases,
    })),
  );
