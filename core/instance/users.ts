import { badRequest } from "#core/error";
import type { Inventory } from "#core/guest/protocol";
import { scramVerifier } from "#core/guest/scram";
import { checkUsers, sealed, type NewUser } from "#core/instance/account";
import { checkUser, duplicate, refuseReservedDatabase, refuseReservedUser, rulesOf } from "#core/instance/names";
import { finish, inventory, subject, submit, unknownDatabase, unknownUser, type Reach } from "#core/instance/work";

export type User = Inventory["users"][number];

/** A user as a path names it: `name` or `name@host`, parted at the last `@`; one at the end belongs to the name. */
function split(who: string): { name: string; host: string } {
  const at = who.lastIndexOf("@");
  return at <= 0 || at === who.length - 1 ? { name: who, host: "%" } : { name: who.slice(0, at), host: who.slice(at + 1) };
}

/**
 * Whom a path names, among these users. Where users have no hosts, a name may contain `@`: the whole
 * segment is tried as a name first, and a host that a client adds is ignored.
 */
function find(manager: string, users: User[], who: string): User | undefined {
  const { name, host } = split(who);
  if (rulesOf(manager).hosts) return users.find((one) => one.name === name && one.host === host);
  return users.find((one) => one.name === who) ?? users.find((one) => one.name === name);
}

function the(manager: string, users: User[], who: string): User {
  refuseReservedUser(manager, split(who).name);
  const found = find(manager, users, who);
  if (!found) throw unknownUser(who);
  return found;
}

/** The job's way of naming a user: the host only where users have one. */
const target = (manager: string, { name, host }: { name: string; host: string }) =>
  rulesOf(manager).hosts ? { name, host } : { name };

/** Users the guest last reported. */
export async function listUsers(instanceId: string): Promise<User[]> {
  return (await inventory(instanceId)).users;
}

/** One user; reserved 400, unknown 404. */
export async function getUser(instanceId: string, who: string): Promise<User> {
  const { users, manager } = await inventory(instanceId);
  return the(manager, users, who);
}

/** Accepts new users: 400 for a name that is reserved, not allowed, given twice or taken (contract §5.4). */
export async function createUsers(instanceId: string, users: NewUser[], reach: Reach): Promise<void> {
  const on = await subject(instanceId);
  checkUsers(on.manager, users);
  if (users.length === 0) return;
  const ready = await sealed(on.manager, users);
  await submit(on, "create_users", reach, ({ expected, manager }) => {
    const taken = users.find(({ name, host }) => exists(manager, expected.users, name, host));
    if (taken) throw badRequest(`User '${taken.name}' exists already.`, { reason: "user.exists" });
    return { users: ready };
  });
}

const exists = (manager: string, users: User[], name: string, host = "%") =>
  users.some((one) => one.name === name && (!rulesOf(manager).hosts || one.host === host));

export interface NewPassword {
  name: string;
  host?: string;
  password: string;
}

/** Accepts new passwords for several users; if one of them does not exist, nothing is changed (404). */
export async function changePasswords(instanceId: string, changes: NewPassword[], reach: Reach): Promise<void> {
  const on = await subject(instanceId);
  for (const { name } of changes) refuseReservedUser(on.manager, name);
  const twice = duplicate(changes.map(({ name, host = "%" }) => (rulesOf(on.manager).hosts ? `${name}@${host}` : name)));
  if (twice !== undefined) throw badRequest(`User '${twice}' is given twice.`, { reason: "user.duplicate" });
  if (changes.length === 0) return;
  const verifiers = await Promise.all(changes.map(({ password }) => scramVerifier(password)));
  await submit(on, "change_passwords", reach, ({ expected, manager }) => ({
    users: changes.map(({ name, host = "%" }, at) => {
      if (!exists(manager, expected.users, name, host)) throw unknownUser(name);
      return { ...target(manager, { name, host }), verifier: verifiers[at] ?? "" };
    }),
  }));
}

export interface UserChange {
  name?: string;
  host?: string;
  password?: string;
}

/** Accepts a change of name, host or password: unknown 404, new name taken, reserved or not allowed 400. */
export async function updateUser(instanceId: string, who: string, change: UserChange, reach: Reach): Promise<void> {
  const on = await subject(instanceId);
  if (change.name !== undefined) checkUser(on.manager, change.name);
  const verifier = change.password === undefined ? undefined : await scramVerifier(change.password);
  await submit(on, "update_user", reach, ({ expected, manager }) => {
    const user = the(manager, expected.users, who);
    const { hosts } = rulesOf(manager);
    const name = change.name ?? user.name;
    const host = hosts ? (change.host ?? user.host) : user.host;
    const moved = name !== user.name || host !== user.host;
    if (moved && exists(manager, expected.users, name, host)) {
      throw badRequest(`User '${name}' exists already.`, { reason: "user.exists" });
    }
    return {
      ...target(manager, user),
      ...(name !== user.name && { newName: name }),
      ...(host !== user.host && { newHost: host }),
      ...(verifier !== undefined && { verifier }),
    };
  });
}

/** Accepts the removal of a user: reserved 400, unknown 404. */
export async function deleteUser(instanceId: string, who: string, reach: Reach): Promise<void> {
  const on = await subject(instanceId);
  await submit(on, "delete_user", reach, ({ expected, manager }) => target(manager, the(manager, expected.users, who)));
}

/** Lets a user use databases; done when this resolves. Unknown databases are the guest's to refuse (contract §5.4). */
export async function grant(instanceId: string, who: string, databases: string[], reach: Reach): Promise<void> {
  const on = await subject(instanceId);
  for (const name of databases) refuseReservedDatabase(on.manager, name);
  const job = await submit(on, "grant", reach, ({ expected, manager }) => ({
    ...target(manager, the(manager, expected.users, who)),
    databases,
  }));
  await finish(job, reach);
}

/** Takes a database away from a user; done when this resolves. 404 for a user or a database it does not have. */
export async function revoke(instanceId: string, who: string, database: string, reach: Reach): Promise<void> {
  const on = await subject(instanceId);
  const job = await submit(on, "revoke", reach, ({ expected, manager }) => {
    const user = the(manager, expected.users, who);
    if (!user.databases.includes(database)) throw unknownDatabase(database);
    return { ...target(manager, user), database };
  });
  await finish(job, reach);
}
