import type { testDatabase } from "#test/support/db";

type Owner = Awaited<ReturnType<typeof testDatabase>>["owner"];

/** Everything that is in the tables of a database, to compare it, and to bring it back. */
export async function picture(owner: Owner) {
  const tables = (await owner<{ name: string }[]>`
    select quote_ident(tablename) as name from pg_tables where schemaname = 'public' order by tablename`).map(({ name }) => name);
  await owner.unsafe(`create schema picture; ${tables.map((name) => `create table picture.${name} as table public.${name}`).join("; ")}`);
  const sums = tables.map((name) => `select '${name}' as name, coalesce(md5(string_agg(t::text, chr(10) order by t::text)), '') as sum from public.${name} t`).join(" union all ");

  const look = async () => new Map((await owner.unsafe<{ name: string; sum: string }[]>(sums)).map(({ name, sum }) => [name, sum]));
  const before = await look();
  return {
    /** Names of the tables that are not as they were. */
    async changed(): Promise<string[]> {
      const now = await look();
      return tables.filter((name) => now.get(name) !== before.get(name));
    },
    /** All as it was. Without triggers, so that no order of the tables matters. */
    async restore(names: string[]): Promise<void> {
      if (names.length === 0) return;
      const each = names.map((name) => `delete from public.${name}; insert into public.${name} overriding system value select * from picture.${name}`);
      await owner.begin(async (tx) => void (await tx.unsafe(`set local session_replication_role = replica; ${each.join("; ")}`)));
    },
  };
}
