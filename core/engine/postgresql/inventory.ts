import type { Inventory } from "#core/guest/protocol";
import type { Connections } from "#core/engine/postgresql/connections";
import { isReservedDatabase, isReservedUser } from "#core/engine/postgresql/names";

/** What the tenant has: names in order, and for each user the databases that were opened to it by name, or that it owns. */
export function inventory(connections: Connections): Promise<Inventory> {
  return connections.main(async (sql) => {
    // A connection limit of -2 marks a database whose removal was interrupted.
    const databases = await sql<{ name: string }[]>`select datname as name from pg_database where datconnlimit <> -2 order by datname`;
    const users = await sql<{ name: string; databases: string[] }[]>`
      select r.rolname as name, coalesce((
        select json_agg(distinct d.datname order by d.datname) from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
        where a.grantee = r.oid and a.privilege_type = 'CONNECT' and d.datconnlimit <> -2), '[]') as databases
      from pg_roles r where r.rolcanlogin order by r.rolname`;
    return {
      databases: databases.filter(({ name }) => !isReservedDatabase(name)).map(({ name }) => ({ name })),
      users: users
        .filter(({ name }) => !isReservedUser(name))
        .map(({ name, databases }) => ({ name, host: "%", databases: databases.filter((database) => !isReservedDatabase(database)) })),
    };
  });
}
