import { and, eq, sql } from "drizzle-orm";
import { newId } from "#core/context";
import { transaction, type Tx } from "#core/db/index";
import { account, assignment, domain, project, role, service } from "#functions/identity/identity.sql";
import { checkPassword, hashPassword, passwordTurn } from "#functions/identity/password";

export interface NewUser {
  name: string;
  password: string;
  project: string;
  role: "admin" | "member" | "reader";
}

export interface SeededUser {
  userId: string;
  projectId: string;
}

const DEFAULT_DOMAIN = "default";
const ROLES = ["admin", "member", "reader"] as const;
const SERVICES = [
  { type: "identity", name: "keystone" },
  { type: "database", name: "trove" },
  { type: "object-store", name: "swift" },
  { type: "key-manager", name: "barbican" },
];

/** Keystone's form of an id. */
const hexId = () => newId().replaceAll("-", "");

/**
 * What a new installation needs: domain, roles, services, and users demo, alt, admin and trove
 * with their projects. Run at every start, in a context of role `coffer_system`; what is there
 * stays, a changed password is taken over.
 */
export async function seedIdentity(passwords: Record<"demo" | "alt" | "admin" | "trove", string>) {
  await transaction(async (tx) => {
    await tx.insert(domain).values({ id: DEFAULT_DOMAIN, name: "Default" }).onConflictDoNothing();
    await tx.insert(role).values(ROLES.map((name) => ({ id: hexId(), name }))).onConflictDoNothing();
    await tx.insert(service).values(SERVICES.map((one) => ({ id: hexId(), ...one }))).onConflictDoNothing();
  });
  const [demo, alt, admin, trove] = await Promise.all([
    addUser({ name: "demo", password: passwords.demo, project: "demo", role: "member" }),
    addUser({ name: "alt", password: passwords.alt, project: "alt", role: "member" }),
    addUser({ name: "admin", password: passwords.admin, project: "admin", role: "admin" }),
    addUser({ name: "trove", password: passwords.trove, project: "service", role: "admin" }),
  ]);
  return { demo, alt, admin, trove };
}

/**
 * Makes sure that a user with this password and a role in a project is there; the project is
 * made if absent. Another password than before ends the user's tokens. After `seedIdentity`,
 * in a context of role `coffer_system`, outside a transaction: hashing takes a while.
 */
export async function addUser({ name, password, project: projectName, role: roleName }: NewUser): Promise<SeededUser> {
  const hash = await hashUnlessSame(name, password);
  return transaction(async (tx) => {
    if (hash !== undefined) {
      await tx
        .insert(account)
        .values({ id: hexId(), domainId: DEFAULT_DOMAIN, name, passwordHash: hash })
        .onConflictDoUpdate({
          target: [account.domainId, account.name],
          // Tokens issued under the old password end with it.
          set: { passwordHash: hash, passwordVersion: sql`${account.passwordVersion} + 1` },
        });
    }
    await tx.insert(project).values({ id: hexId(), domainId: DEFAULT_DOMAIN, name: projectName }).onConflictDoNothing();
    const ids = await idsOf(tx, name, projectName, roleName);
    await tx.insert(assignment).values(ids).onConflictDoNothing();
    return { userId: ids.userId, projectId: ids.projectId };
  });
}

/** Undefined when the user exists and has this very password. */
async function hashUnlessSame(name: string, password: string): Promise<string | undefined> {
  const [known] = await transaction((tx) => tx.select({ hash: account.passwordHash }).from(account).where(userIs(name)));
  return passwordTurn(async () => (known && (await checkPassword(password, known.hash)) ? undefined : hashPassword(password)));
}

async function idsOf(tx: Tx, userName: string, projectName: string, roleName: string) {
  const [ids] = await tx
    .select({ userId: account.id, projectId: project.id, roleId: role.id })
    .from(account)
    .innerJoin(project, and(eq(project.domainId, DEFAULT_DOMAIN), eq(project.name, projectName)))
    .innerJoin(role, eq(role.name, roleName))
    .where(userIs(userName));
  if (!ids) throw new Error(`seedIdentity must run before user ${userName} is added`);
  return ids;
}

const userIs = (name: string) => and(eq(account.domainId, DEFAULT_DOMAIN), eq(account.name, name));
