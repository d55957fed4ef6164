import { lsnOf } from "#core/engine/postgresql/backup/pages";
import type { Sql } from "#core/engine/postgresql/connections";

/** Names and positions of WAL segments. */
export class Segments {
  readonly bytes: bigint;

  constructor(bytes: number) {
    this.bytes = BigInt(bytes);
  }

  static async of(sql: Sql): Promise<Segments> {
    const [row] = await sql<{ bytes: string }[]>`select setting as bytes from pg_settings where name = 'wal_segment_size'`;
    return new Segments(Number(row?.bytes));
  }

  numberOf(lsn: bigint): bigint {
    return lsn / this.bytes;
  }

  /** As XLogFileName has it: timeline, log, segment, eight hex digits each. */
  name(timeline: number, number: bigint): string {
    const perLog = 0x1_0000_0000n / this.bytes;
    return [BigInt(timeline), number / perLog, number % perLog].map((part) => part.toString(16).toUpperCase().padStart(8, "0")).join("");
  }

  /** Undefined for what is no name of a segment. */
  parse(name: string): { timeline: number; number: bigint } | undefined {
    const [, timeline, log, segment] = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})$/.exec(name) ?? [];
    if (timeline === undefined || log === undefined || segment === undefined) return undefined;
    return { timeline: Number.parseInt(timeline, 16), number: BigInt(`0x${log}`) * (0x1_0000_0000n / this.bytes) + BigInt(`0x${segment}`) };
  }
}

export interface ServerFacts {
  version: number;
  systemIdentifier: string;
  timeline: number;
}

export async function factsOf(sql: Sql): Promise<ServerFacts> {
  const [row] = await sql<{ version: string; system: string; timeline: number }[]>`
    select current_setting('server_version_num') as version, s.system_identifier::text as system,
           ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int as timeline
    from pg_control_system() s`;
  if (!row) throw new Error("the server does not tell what it is");
  return { version: Number(row.version), systemIdentifier: row.system, timeline: row.timeline };
}

/** The server's clock, ISO 8601 in UTC. */
export async function timeOf(sql: Sql): Promise<string> {
  const [row] = await sql<{ at: string }[]>`select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at`;
  return row?.at ?? "";
}

export async function insertedLsn(sql: Sql): Promise<bigint> {
  const [row] = await sql<{ lsn: string }[]>`select pg_current_wal_insert_lsn()::text as lsn`;
  return lsnOf(row?.lsn ?? "0/0");
}
