import { badRequest } from "#core/error";
import { checkDatabases, type NewDatabase } from "#core/instance/account";
import { refuseReservedDatabase } from "#core/instance/names";
import { inventory, subject, submit, unknownDatabase, type Reach } from "#core/instance/work";

/** Names of the databases the guest last reported. */
export async function listDatabases(instanceId: string): Promise<string[]> {
  const { databases } = await inventory(instanceId);
  return databases.map(({ name }) => name);
}

/** Accepts new databases: 400 for a name that is reserved, not allowed, given twice or taken (contract §5.4). */
export async function createDatabases(instanceId: string, databases: NewDatabase[], reach: Reach): Promise<void> {
  const on = await subject(instanceId);
  checkDatabases(on.manager, databases);
  if (databases.length === 0) return;
  await submit(on, "create_databases", reach, ({ expected }) => {
    const taken = databases.find(({ name }) => expected.databases.some((one) => one.name === name));
    if (taken) throw badRequest(`Database '${taken.name}' exists already.`, { reason: "database.exists" });
    return { databases };
  });
}

/** Accepts the removal of a database: reserved 400, unknown 404. */
export async function deleteDatabase(instanceId: string, name: string, reach: Reach): Promise<void> {
  const on = await subject(instanceId);
  refuseReservedDatabase(on.manager, name);
  await submit(on, "delete_database", reach, ({ expected }) => {
    if (!expected.databases.some((one) => one.name === name)) throw unknownDatabase(name);
    return { name };
  });
}
