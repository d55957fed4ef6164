import { lsnOf } from "#core/engine/postgresql/backup/pages";
import type { Position } from "#core/engine/physical";
import type { Sql } from "#core/engine/postgresql/connections";

/** Of every cluster that initdb makes without being told another. */
export const SEGMENT_BYTES = 16n * 1024n * 1024n;
const segmentsPerLog = 0x1_0000_0000n / SEGMENT_BYTES;

export const segmentOf = (lsn: bigint): bigint => lsn / SEGMENT_BYTES;

/** As XLogFileName has it: timeline, log, segment, eight hex digits each. */
export const segmentName = (timeline: number, number: bigint): string =>
  [BigInt(timeline), number / segmentsPerLog, number % segmentsPerLog].map((part) => part.toString(16).toUpperCase().padStart(8, "0")).join("");

export interface Segment {
  timeline: number;
  number: bigint;
}

/** Undefined for what is no name of a segment. */
export function parseSegment(name: string): Segment | undefined {
  const [, timeline, log, segment] = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})$/.exec(name) ?? [];
  if (timeline === undefined || log === undefined || segment === undefined) return undefined;
  return { timeline: Number.parseInt(timeline, 16), number: BigInt(`0x${log}`) * segmentsPerLog + BigInt(`0x${segment}`) };
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

/** Size of the header of a segment's first page (XLogLongPageHeaderData, aligned): behind it the next record will begin. */
const HEADER_BYTES = 40n;

/** Where the last record before this position ended. In a segment that holds no record yet, that is where the segment begins. */
const written = (lsn: bigint): bigint => (lsn % SEGMENT_BYTES === HEADER_BYTES ? lsn - HEADER_BYTES : lsn);

/** Where WAL ends; `quiet` is the next transaction's number where none that has one is open. */
export async function positionOf(sql: Sql): Promise<Position> {
  const [row] = await sql<{ system: string; at: string; lsn: string; timeline: number; low: string; high: string }[]>`
    select c.system_identifier::text as system, to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at, l::text as lsn,
           ('x' || substr(pg_walfile_name(l), 1, 8))::bit(32)::int as timeline, pg_snapshot_xmin(s)::text as low, pg_snapshot_xmax(s)::text as high
    from pg_control_system() c, pg_current_wal_insert_lsn() l, pg_current_snapshot() s`;
  if (!row) throw new Error("the server does not tell where its WAL ends");
  return { systemIdentifier: row.system, timeline: row.timeline, at: row.at, lsn: written(lsnOf(row.lsn)), quiet: row.low === row.high ? row.high : undefined };
}
